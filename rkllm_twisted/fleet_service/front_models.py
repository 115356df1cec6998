"""``models.list`` and ``models.show`` of a fleet: what its boards have loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed

from rkllm_twisted.errors import InvalidParams, LibraryError
from rkllm_twisted.fleet_service.boards import Board, Boards
from rkllm_twisted.fleet_service.choice import named_model
from rkllm_twisted.fleet_service.fleet_call import FleetCall
from rkllm_twisted.fleet_service.line import Line

#: An entry of ``models.list`` for a model that its board knows by its path only.
UNNAMED: Mapping[str, Any] = {
    "aliases": [],
    "kind": "chat",
    "capabilities": [],
    "context": None,
    "size": 0,
    "modified": "",
    "digest": None,
    "problems": [],
}


def entries(boards: Boards, now: float) -> list[dict[str, Any]]:
    """Return the entries of ``models.list``: a model each, with the boards that have it."""
    return [_entry(name, boards) for name in boards.models(now)]


def _entry(name: str, boards: Boards) -> dict[str, Any]:
    having = [board for board in boards.values() if board.status.get("model") == name]
    ready = [board for board in having if board.model == name]
    described = next((board.status["entry"] for board in having if board.status.get("entry")), None)
    return {
        **UNNAMED,
        "context": _context(ready),
        **(described or {}),
        "name": name,
        "loaded": bool(ready),
        "boards": sorted(board.name for board in ready),
        "free": sum(not board.is_busy for board in ready),
    }


def _context(boards: Sequence[Board]) -> int | None:
    known = [board.status.get("max_context_len") for board in boards]
    return min(filter(None, known), default=None)


class FleetModels:
    """In the place of :class:`rkllm_twisted.daemon.named_models.IModels`.

    :param line: the line in front of the boards.
    :param seconds: the front's clock.
    :param front: the name of this front.
    """

    has_directories = False

    def __init__(self, line: Line, seconds: Callable[[], float], front: str) -> None:
        self._line = line
        self._seconds = seconds
        self._front = front

    def listing(self) -> Mapping[str, Any]:
        """Return the result of ``models.list``."""
        return {"models": entries(self._line.boards, self._seconds()), "problems": []}

    def show(self, name: str, digest: bool) -> Deferred[Any]:
        """Return the result of ``models.show``, from a board that has the model."""
        boards, now = self._line.boards, self._seconds()
        found = named_model(boards.models(now), name)
        entry = next((one for one in entries(boards, now) if one["name"] == found), None)
        if entry is None:
            known = ", ".join(boards.models(now)) or "none"
            raise InvalidParams(
                f"The fleet has no model {name[:100]!r}; there are: {known}.",
                {"parameter": "model"},
            )
        if not any(board.status.get("entry") for board in self._having(found)):
            return succeed(entry)
        call = FleetCall(
            "models.show", {"model": found, "digest": digest}, None, f"{self._front}/0", _ignore
        )
        call.model = found
        shown = self._line.submit(call)
        return shown.addCallback(lambda one: {**one, "boards": entry["boards"]})

    def _having(self, name: str) -> list[Board]:
        return [board for board in self._line.boards.values() if board.model == name]

    def find(self, name: str) -> Any:
        """See IModels; the boards find their models themselves."""
        raise InvalidParams(f"The front of a fleet loads no model: {name[:100]!r}.")

    def catalogue_of(self, *directories: str) -> Any:
        """See IModels."""
        raise LibraryError(f"The front of a fleet has no directories: {', '.join(directories)}.")


def _ignore(_: Sequence[Any]) -> None:
    """Do nothing with partial results."""
