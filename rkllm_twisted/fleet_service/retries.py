"""Decides whether a run that failed is tried again. At most once: pure, and one table."""

from __future__ import annotations

from enum import Enum

import attrs


class Cause(Enum):
    """Why a call has failed, before any board's daemon has answered it with an error."""

    BUSY = "busy"
    NOT_THERE = "not_there"
    BOARD_GONE = "board_gone"
    ROUTER_GONE = "router_gone"


@attrs.frozen
class RetryRule:
    """How often a call may be tried again after a cause.

    :param most: times; None: as often as it takes, because nothing has run.
    :param with_history: True if a run that keeps history may be, too.
    """

    most: int | None
    with_history: bool


RULES = {
    Cause.BUSY: RetryRule(None, with_history=True),
    Cause.NOT_THERE: RetryRule(None, with_history=True),
    Cause.BOARD_GONE: RetryRule(1, with_history=False),
    Cause.ROUTER_GONE: RetryRule(1, with_history=False),
}


def may_try_again(cause: Cause, results: int, retries: int, keeps_history: bool) -> bool:
    """True if a call may be made again, on another board or the same one.

    :param results: the partial results that have come: after the first the client has some, and a
        second run would begin the answer again.
    :param retries: how often it was tried again after something that may have run.
    :param keeps_history: it is a run with ``keep_history``, or it continues one.
    """
    rule = RULES[cause]
    return (
        results == 0
        and (rule.most is None or retries < rule.most)
        and (rule.with_history or not keeps_history)
    )


def counts(cause: Cause) -> bool:
    """True if trying again after this cause counts: a run may have begun."""
    return RULES[cause].most is not None
