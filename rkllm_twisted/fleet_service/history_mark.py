"""Whether a board's one history is still that of a conversation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

#: Members of ``server.status`` that change when something else has used the cache.
_COUNTS = ("loads", "crashes", "runs")


@attrs.frozen
class HistoryMark:
    """What was true when a run that keeps its history had ended.

    :param conversation: whose it was.
    :param connection: to the daemon; another one has another history.
    :param counts: of the daemon's status.
    """

    conversation: str
    connection: object
    counts: tuple[Any, ...]


def counts_of(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the counts of the result of ``server.status``."""
    return tuple(status.get(name) for name in _COUNTS)


def mark_after(
    conversation: str, connection: object, before: Mapping[str, Any], after: Mapping[str, Any]
) -> HistoryMark | None:
    """Return the mark of a run that has ended.

    :param before: ``server.status`` before it was sent.
    :param after: ``server.status`` after its end.
    :returns: None if anything else may have used the cache meanwhile.
    """
    loads, crashes, runs = counts_of(before)
    if counts_of(after) != (loads, crashes, (runs or 0) + 1):
        return None
    return HistoryMark(conversation, connection, counts_of(after))


def why_lost(
    mark: HistoryMark | None, conversation: str, connection: object, status: Mapping[str, Any]
) -> str | None:
    """Return why a conversation cannot continue its history; None: it can.

    :param connection: that the conversation has now; None: it has none.
    :param status: ``server.status`` now.
    :returns: a clause, such as "another run has used the board since".
    """
    if connection is None:
        return "its connection to the daemon was closed"
    if mark is None:
        return "its last run did not end, or another run has used the board since"
    if mark.conversation != conversation or mark.connection is not connection:
        return "another run has used the board since"
    loads, crashes, runs = mark.counts
    if status.get("crashes") != crashes:
        return "the board's runtime crashed"
    if status.get("loads") != loads:
        return "the board's model was loaded again"
    if status.get("runs") != runs or status.get("running") or status.get("queue_length"):
        return "another run has used the board since"
    return None
