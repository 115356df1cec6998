"""Nothing runs twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.fleet_service.retries import RULES, Cause, counts, may_try_again


@pytest.mark.parametrize(
    ("cause", "retries", "keeps_history", "expected"),
    [
        (Cause.BUSY, 0, False, True),
        (Cause.BUSY, 99, True, True),
        (Cause.NOT_THERE, 99, True, True),
        (Cause.BOARD_GONE, 0, False, True),
        (Cause.BOARD_GONE, 1, False, False),
        (Cause.BOARD_GONE, 0, True, False),
        (Cause.ROUTER_GONE, 0, False, True),
        (Cause.ROUTER_GONE, 1, False, False),
        (Cause.ROUTER_GONE, 0, True, False),
    ],
)
def test_before_the_first_result(
    cause: Cause, retries: int, keeps_history: bool, expected: bool
) -> None:
    """What has not begun may begin elsewhere; what may have begun is tried once more."""
    assert may_try_again(cause, 0, retries, keeps_history) is expected


@given(st.sampled_from(Cause), st.integers(1), st.integers(0), st.booleans())
def test_never_after_the_first_result(
    cause: Cause, results: int, retries: int, keeps_history: bool
) -> None:
    """The client has a part of the answer."""
    assert not may_try_again(cause, results, retries, keeps_history)


def test_every_cause_has_a_rule() -> None:
    """A new cause must be decided about."""
    assert set(RULES) == set(Cause)
    assert {cause for cause in Cause if counts(cause)} == {Cause.BOARD_GONE, Cause.ROUTER_GONE}
