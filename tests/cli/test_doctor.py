"""``rkllm doctor`` examines the account of its caller."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from other_users import GROUP, SOMEBODY, acting_as, needs_root

from rkllm_twisted.cli import main
from rkllm_twisted.cli.doctor import own_account


@needs_root
def test_a_user_without_a_name_has_its_number() -> None:
    """A container may run as a user without a name."""
    with acting_as(SOMEBODY):
        account = own_account()
    assert (account.uid, account.name) == (SOMEBODY, str(SOMEBODY))
    assert GROUP in account.gids


@pytest.mark.parametrize("words", [["--family=qwen3"], ["--contract", "--tags", "a", "b", "c"]])
def test_what_only_the_check_of_vision_takes_is_refused_without_it(words: list[str]) -> None:
    """It would be ignored."""
    done = CliRunner().invoke(main, ["doctor", *words])
    assert done.exit_code == 2
    assert "--family and --tags need --contract and --vision" in done.output
