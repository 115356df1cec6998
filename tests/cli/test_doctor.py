"""``rkllm doctor`` examines the account of its caller."""

from __future__ import annotations

from other_users import GROUP, SOMEBODY, acting_as, needs_root

from rkllm_twisted.cli.doctor import own_account


@needs_root
def test_a_user_without_a_name_has_its_number() -> None:
    """A container may run as a user without a name."""
    with acting_as(SOMEBODY):
        account = own_account()
    assert (account.uid, account.name) == (SOMEBODY, str(SOMEBODY))
    assert GROUP in account.gids
