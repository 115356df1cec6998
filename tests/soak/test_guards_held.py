"""Every guard of the table is held by a test."""

from __future__ import annotations

from mutations import GUARDS, check


def test_no_guard_can_be_taken_out_unnoticed() -> None:
    """See ``tests/support/mutations.py``."""
    problems = {guard.name: problem for guard, problem in check(GUARDS) if problem}
    assert problems == {}
