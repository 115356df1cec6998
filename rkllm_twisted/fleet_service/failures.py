"""The errors of a fleet for its clients."""

from __future__ import annotations

from collections.abc import Collection

from rkllm_twisted.errors import Busy, NoModel, RuntimeCrashed, ShuttingDown

#: So many names are shown in an error.
NAMES_SHOWN = 10


def line_full(waiting: int, is_reachable: bool) -> Busy:
    """Make the error for a request that finds the line full.

    :param waiting: how many requests wait.
    :param is_reachable: False if the front is not joined to the fleet.
    """
    data: dict[str, object] = {"queue_length": waiting}
    if not is_reachable:
        return Busy(
            f"The fleet's router cannot be reached, and {waiting} requests already wait for it;"
            " try again later.",
            {**data, "fleet": "unreachable"},
        )
    return Busy(f"All boards are busy and {waiting} requests already wait; try again.", data)


def stopping() -> ShuttingDown:
    """Make the error for a request to a front that is about to stop."""
    return ShuttingDown("The front is stopping; try again when it is back.")


def crashed(error: RuntimeCrashed, board: str, results: int, has_history: bool) -> RuntimeCrashed:
    """Return the error of a board's daemon, with what a client of a fleet needs to know.

    :param results: the partial results that came before.
    :param has_history: the run kept a history, or continued one.
    """
    history = {"history": "lost"} if has_history else {}
    return RuntimeCrashed(
        error.message, {**history, **(error.data or {}), "board": board, "tokens": results}
    )


def lost(board: str, results: int, has_history: bool) -> RuntimeCrashed:
    """Make the error for a run that has ended with its board or with the router.

    :param results: the partial results that came before.
    :param has_history: it kept a history, or continued one.
    """
    came = f"after {results} tokens of the answer" if results else "before the answer began"
    data = {"board": board, "tokens": results, **({"history": "lost"} if has_history else {})}
    return RuntimeCrashed(f"The connection to the board {board} was lost {came}; ask again.", data)


def no_board(model: str, models: Collection[str | None]) -> NoModel:
    """Make the error for a model that no board has."""
    names = sorted(filter(None, models))
    return NoModel(
        f"No board of the fleet has the model {model[:100]!r} loaded; {listed(names)}.",
        {"models": names[:NAMES_SHOWN]},
    )


def history_lost(board: str, why: str) -> RuntimeCrashed:
    """Make the error for a run whose history is gone.

    :param why: a clause that says what has happened.
    """
    return RuntimeCrashed(
        f"The history of this conversation was on the board {board} and is lost, because {why};"
        " begin it again, or send all of it with chat.complete.",
        {"board": board, "history": "lost"},
    )


def listed(known: Collection[str]) -> str:
    """List names for an error."""
    names = sorted(known)
    if not names:
        return "no board has any"
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"there are: {', '.join(names[:NAMES_SHOWN])}{more}"
