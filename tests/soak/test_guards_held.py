"""Every guard of the table is held by a test."""

from __future__ import annotations

from datetime import date

from crossbar_router import require_crossbar
from mutations import GUARDS, Guard, check
from soaking import SOAK_SECONDS

#: In a bounded form a quarter of the guards is taken out, another one each day.
PARTS, LONG_S = 4, 60.0


def problems_of(guards: list[Guard]) -> dict[str, str]:
    """Take guards out; return what is wrong with each that is not held."""
    is_bounded = SOAK_SECONDS is not None and float(SOAK_SECONDS) < LONG_S
    some = guards[date.today().toordinal() % PARTS :: PARTS] if is_bounded else guards
    return {guard.name: problem for guard, problem in check(some) if problem}


def test_no_guard_can_be_taken_out_unnoticed() -> None:
    """See ``tests/support/mutations.py``."""
    assert problems_of([guard for guard in GUARDS if not guard.needs_crossbar]) == {}


def test_no_guard_can_be_taken_out_unnoticed_by_tests_with_a_router() -> None:
    """These are skipped where Crossbar is not installed."""
    require_crossbar()
    assert problems_of([guard for guard in GUARDS if guard.needs_crossbar]) == {}
