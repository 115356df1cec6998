"""Every guard of the table is held by a test."""

from __future__ import annotations

from datetime import date

from mutations import GUARDS, check
from soaking import SOAK_SECONDS

#: In a bounded form a quarter of the guards is taken out, another one each day.
PARTS, LONG_S = 4, 60.0


def test_no_guard_can_be_taken_out_unnoticed() -> None:
    """See ``tests/support/mutations.py``."""
    is_bounded = SOAK_SECONDS is not None and float(SOAK_SECONDS) < LONG_S
    guards = GUARDS[date.today().toordinal() % PARTS :: PARTS] if is_bounded else GUARDS
    problems = {guard.name: problem for guard, problem in check(guards) if problem}
    assert problems == {}
