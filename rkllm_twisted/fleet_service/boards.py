"""What a front knows of the boards. Pure: the caller says what time it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

#: Seconds for which a model counts as the fleet's after its last board has gone: a board that loads
#: its model again, or a router that starts again, costs time but no answer.
GRACE_S = 60.0
#: Seconds for which a conversation waits for the board that has its history, once that board's
#: connection was lost: it may come back with it. A board tries again after 0.5 to 2 s at first.
RETURN_S = 10.0
#: The same after this front was away itself: all boards may have been, and try every 30 s at last.
RETURN_ALL_S = 35.0
#: Requests without a turn of the NPU that a board has of one front at once: each may have 12 MiB.
MAX_ASKED = 4
#: Seconds before a board that said it is busy is asked again without an event from it: the first
#: time, and at most.
BACK_OFF_S, MAX_BACK_OFF_S = 0.1, 1.0


@attrs.frozen
class Board:
    """A board, as of its last event.

    :param name: its id.
    :param status: what it publishes; see :mod:`rkllm_twisted.fleet_service.published`.
    :param seen: when its last event came, in seconds of the front's clock; of one that is away,
        when this front has last found it so.
    :param is_here: False once it has left or its connection was lost.
    :param returns_by: of one that is away: it may come back with its histories until then.
    :param given: runs of this front that it has and has not ended.
    :param asked: the same of requests that need no turn of its NPU.
    :param idle_since: when its last run ended, as far as this front knows.
    :param refusals: how often it has said that it is busy since its last event.
    :param not_before: it is not asked before this time unless an event of it comes.
    """

    name: str
    status: Mapping[str, Any]
    seen: float
    is_here: bool = True
    returns_by: float = 0.0
    given: int = 0
    asked: int = 0
    idle_since: float = 0.0
    refusals: int = 0
    not_before: float = 0.0

    @property
    def model(self) -> str | None:
        """The name of the model that it runs; None: it can run nothing now."""
        offered: str | None = self.status.get("offered")
        return offered if self.is_here else None

    @property
    def is_busy(self) -> bool:
        """True if a run that is given to it would wait."""
        status = self.status
        return bool(self.given or status.get("running") or status.get("queue_length"))


class Boards(Mapping[str, Board]):
    """All boards that a front has seen, by name."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}

    def __getitem__(self, name: str) -> Board:
        return self._boards[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._boards)

    def __len__(self) -> int:
        return len(self._boards)

    def saw(self, name: str, status: Mapping[str, Any], now: float) -> None:
        """Take in a board's event."""
        known = self._boards.get(name)
        if known is None:
            self._boards[name] = Board(name, status, now)
            return
        has_ended = known.is_busy and not (status.get("running") or known.given)
        self._boards[name] = attrs.evolve(
            known,
            status=status,
            seen=now,
            is_here=True,
            refusals=0,
            not_before=0.0,
            idle_since=now if has_ended else known.idle_since,
        )

    def left(self, name: str, now: float, patience: float = RETURN_S) -> None:
        """Take in that a board is gone. Its runs end by themselves.

        :param patience: seconds for which conversations wait for it, unless it has said before that
            it leaves: then it offers nothing.
        """
        if name in self._boards:
            board = self._boards[name]
            has_offered = board.status.get("offered") is not None
            returns_by = now + patience if has_offered else now
            self._boards[name] = attrs.evolve(board, is_here=False, seen=now, returns_by=returns_by)

    def lost_all(self, now: float) -> None:
        """Take in that the router is gone."""
        for name in self._boards:
            self.left(name, now, RETURN_ALL_S)

    def joined(self, now: float) -> None:
        """Take in that this front has joined again: those that are not here yet may still come."""
        for name, board in self._boards.items():
            if not board.is_here:
                self.left(name, now, RETURN_ALL_S)

    def forget(self, now: float) -> None:
        """Forget the boards that have been away for longer than a model is waited for."""
        for name, board in list(self._boards.items()):
            if not (board.is_here or board.given or board.asked) and now - board.seen > GRACE_S:
                del self._boards[name]

    def began(self, name: str, is_run: bool = True) -> None:
        """Take in that a run, or a request without a turn, was given to a board."""
        if name in self._boards:
            board = self._boards[name]
            self._boards[name] = (
                attrs.evolve(board, given=board.given + 1)
                if is_run
                else attrs.evolve(board, asked=board.asked + 1)
            )

    def ended(self, name: str, now: float, is_run: bool = True) -> None:
        """Take in that what was given to a board has ended, in whatever way."""
        if name not in self._boards:
            return
        board = self._boards[name]
        if not is_run:
            self._boards[name] = attrs.evolve(board, asked=max(0, board.asked - 1))
            return
        status = board.status
        if board.given == 1:  # what its last event said of our own run is over
            status = {**status, "running": False}
        self._boards[name] = attrs.evolve(
            board, given=max(0, board.given - 1), idle_since=now, status=status
        )

    def refused(self, name: str, now: float) -> None:
        """Take in that a board said it is busy, or is not there, though it looked free."""
        if name in self._boards:
            board = self._boards[name]
            wait = min(BACK_OFF_S * 2**board.refusals, MAX_BACK_OFF_S)
            self._boards[name] = attrs.evolve(
                board, refusals=board.refusals + 1, not_before=now + wait
            )

    def models(self, now: float) -> Mapping[str, int]:
        """Return the models of the fleet, and how many boards have each now."""
        found: dict[str, int] = {}
        for board in self._boards.values():
            if board.model is not None:
                found[board.model] = found.get(board.model, 0) + 1
            elif board.status.get("model") is not None and now - board.seen <= GRACE_S:
                found.setdefault(board.status["model"], 0)
        return dict(sorted(found.items()))
