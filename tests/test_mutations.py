"""The table of guards is up to date; ``make guards`` takes them out one at a time."""

from __future__ import annotations

from pathlib import Path

import mutations
import pytest
from mutations import GUARDS, PACKAGE, ROOT, Guard


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_stands_where_the_table_says(guard: Guard) -> None:
    """A change to a guard needs a change to its row in ``tests/support/mutations.py``."""
    assert (ROOT / PACKAGE / guard.file).read_text().count(guard.text) == 1


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guards_tests_exist(guard: Guard) -> None:
    """The table's names of tests exist in the test files."""
    for test in guard.tests:
        path, _, name = test.partition("::")
        text = (ROOT / "tests" / path).read_text()
        if "from engine_contract import *" in text:
            text += (ROOT / "tests" / "support" / "engine_contract.py").read_text()
        assert not name or f"def {name}(" in text


def test_every_guard_has_a_name_of_its_own() -> None:
    """The table has many guards."""
    assert len({guard.name for guard in GUARDS}) == len(GUARDS) > 20


def test_without_crossbar_a_guard_that_needs_it_is_said_to_be_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is neither held nor missed."""
    monkeypatch.setattr(mutations, "CROSSBAR", Path("/nowhere"))
    name = next(guard.name for guard in GUARDS if guard.needs_crossbar)
    assert mutations.main([name]) == 0
    printed = capsys.readouterr().out
    assert f"skipped {name} - Crossbar is not installed" in printed
    assert "0 of 0 guards are held, 1 are skipped" in printed
