"""Decides which board gets a run. Pure: tables in, a decision out.

A front knows the boards by their events, so it names the board that is to run. A router's choice
among the callees of one procedure would say neither which board has the run nor whether that board
runs something else: it counts the calls of each registration by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from rkllm_twisted.errors import InvalidParams, NoModel, RPCError
from rkllm_twisted.fleet_service.boards import GRACE_S, MAX_ASKED, Board
from rkllm_twisted.fleet_service.failures import NAMES_SHOWN, history_lost, listed, no_board

#: Seconds that a conversation waits for the board that has read it, before any other will do.
PREFERENCE_S = 1.0


@attrs.frozen
class Wanted:
    """What a run needs.

    :param model: the name of its model.
    :param must: the only board that has the history which it continues; None: there is none.
    :param prefers: the board that has read most of its prompt already; None: any board.
    :param since: when it began to wait, in seconds of the front's clock.
    :param is_run: False for what needs no turn of the NPU: a busy board answers it, too.
    """

    model: str
    must: str | None = None
    prefers: str | None = None
    since: float = 0.0
    is_run: bool = True


@attrs.frozen
class Give:
    """Give the run to this board."""

    board: str


@attrs.frozen
class Wait:
    """Wait for the next event of a board.

    :param until: decide again at this time, too; None: only an event changes anything.
    """

    until: float | None = None


@attrs.frozen
class Refuse:
    """Answer with an error."""

    error: RPCError


Choice = Give | Wait | Refuse


def choose(wanted: Wanted, boards: Mapping[str, Board], now: float) -> Choice:
    """Decide what happens to a run now.

    :param boards: all that are known, by name.
    """
    if wanted.must is not None:
        return _only(wanted.must, wanted.model, boards, now)
    able = [board for board in boards.values() if board.model == wanted.model]
    if not able:
        return _nowhere(wanted, boards, now)
    preferred = next((board for board in able if board.name == wanted.prefers), None)
    free = [board for board in able if _is_free(board, now, wanted.is_run)]
    if preferred is not None:
        if preferred in free:
            return Give(preferred.name)
        if now < wanted.since + PREFERENCE_S:
            return Wait(wanted.since + PREFERENCE_S)
    if free and not wanted.is_run:
        return Give(min(free, key=lambda board: (board.asked, board.name)).name)
    if free:
        return Give(min(free, key=lambda board: (board.idle_since, board.name)).name)
    return _wait_for(able, now)


def _is_free(board: Board, now: float, is_run: bool = True) -> bool:
    has_room = not board.is_busy if is_run else board.asked < MAX_ASKED
    return has_room and now >= board.not_before


def _wait_for(able: list[Board], now: float) -> Wait:
    """Wait for an event, or for the end of a back-off."""
    ends = [board.not_before for board in able if not board.is_busy and board.not_before > now]
    return Wait(min(ends, default=None))


def _only(name: str, model: str, boards: Mapping[str, Board], now: float) -> Choice:
    """Decide about a run whose history is on this board, which may be back soon."""
    board = boards.get(name)
    if board is not None and board.model == model:
        return Give(name) if _is_free(board, now) else _wait_for([board], now)
    if board is not None and board.status.get("offered") == model and now < board.returns_by:
        return Wait(board.returns_by)
    return Refuse(history_lost(name, "the board is gone"))


def _nowhere(wanted: Wanted, boards: Mapping[str, Board], now: float) -> Choice:
    """Decide about a model that no board has now."""
    ends = [
        board.seen + GRACE_S
        for board in boards.values()
        if board.status.get("model") == wanted.model and now <= board.seen + GRACE_S
    ]
    return (
        Wait(max(ends) + 0.001)
        if ends
        else Refuse(no_board(wanted.model, {board.model for board in boards.values()} - {None}))
    )


def named_model(names: Collection[str], wanted: str) -> str:
    """Return the model that a request names; other capital letters will do.

    :param names: the models of the fleet.
    """
    if wanted in names:
        return wanted
    return next((name for name in names if name.casefold() == wanted.casefold()), wanted)


def default_model(names: Collection[str], chosen: str | None) -> str:
    """Return the model of a request that names none.

    :param names: the models of the fleet.
    :param chosen: the one that the front's options name; None: they name none.
    :raises NoModel: no board has one.
    :raises InvalidParams: the fleet has several, and nothing says which is meant.
    """
    if chosen is not None:
        return chosen
    if not names:
        raise NoModel("No board of the fleet has a model loaded.", {"models": []})
    if len(names) > 1:
        raise InvalidParams(
            f"The boards have several models, and the request names none; {listed(names)}. Name"
            " one where the method has a parameter for it, or use a front with --model.",
            {"models": sorted(names)[:NAMES_SHOWN]},
        )
    return next(iter(names))
