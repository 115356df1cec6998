"""Describes a front to its clients as a daemon describes itself, and the fleet beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rkllm_twisted import __version__
from rkllm_twisted.fleet_service.boards import Board
from rkllm_twisted.fleet_service.front_inference import FleetInference
from rkllm_twisted.fleet_service.front_models import FleetModels
from rkllm_twisted.fleet_service.front_npu import FleetNPU, refusal
from rkllm_twisted.fleet_service.line import Line
from rkllm_twisted.interfaces import IConversation, IDaemon
from rkllm_twisted.values import MAX_WAITING, SelfDescription

#: Members of what a board publishes that ``server.status`` shows.
SHOWN = ("state", "queue_length", "running", "runs", "tokens", "crashes", "celsius", "problem")


class NoLoads:
    """In the place of :class:`rkllm_twisted.models.resident.IResidentModel`: boards load models."""

    def load(self, *_: object) -> Any:
        """Refuse."""
        raise refusal("models.load")

    def unload(self, *_: object) -> Any:
        """Refuse."""
        raise refusal("models.unload")


@implementer(IDaemon)
class FleetAbout:
    """The results of ``server.version`` and ``server.status`` of a front.

    :param clients: returns the number of open connections.
    :param describe: makes :attr:`IDaemon.description`; called when a client first asks for it.
    :param is_reachable: returns whether the front is joined to the fleet.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        line: Line,
        npu: FleetNPU,
        front: str,
        clients: Callable[[], int],
        describe: Callable[[], SelfDescription],
        is_reachable: Callable[[], bool],
    ) -> None:
        self.models = FleetModels(line, reactor.seconds, front)
        self.resident = NoLoads()
        self.vision = None  # the boards' encoders
        self.inference = FleetInference(line, front)
        self._reactor = reactor
        self._line = line
        self._npu = npu
        self._front = front
        self._clients = clients
        self._describe = describe
        self._description: SelfDescription | None = None
        self._is_reachable = is_reachable
        self._started = reactor.seconds()

    @property
    def description(self) -> SelfDescription:
        """See :attr:`IDaemon.description`."""
        if self._description is None:
            self._description = self._describe()
        return self._description

    def version(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.version`."""
        return {"version": __version__, "runtime": attrs.asdict(self._npu.version())}

    def status(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.status`."""
        status = self._npu.status(MAX_WAITING)
        return {
            **attrs.asdict(status, recurse=False),
            "running": None,
            "waiting": [
                {"client": _number(each.client), "calls": each.calls} for each in status.waiting
            ],
            "model": status.model_path,
            "model_path": status.model_path,
            "history": "connection",
            "backend": "fleet",
            "clients": self._clients(),
            "uptime_s": round(self._reactor.seconds() - self._started, 3),
            "pid": os.getpid(),
            "fleet": self.fleet(),
        }

    def fleet(self) -> Mapping[str, object]:
        """Return what ``server.status`` says of the fleet."""
        now, boards = self._reactor.seconds(), self._line.boards
        here = [board for board in boards.values() if board.model is not None]
        return {
            "front": self._front,
            "is_reachable": self._is_reachable(),
            "boards": [_row(board, now) for _, board in sorted(boards.items())],
            "models": dict(boards.models(now)),
            "free": sum(not board.is_busy for board in here),
            "waiting": len(self._line),
            "running": len(self._line.under_way),
            **self._line.figures.as_json(),
        }


def _row(board: Board, now: float) -> Mapping[str, object]:
    return {
        "board": board.name,
        **{name: board.status.get(name) for name in SHOWN},
        "state": board.status.get("state") if board.is_here else "away",
        "model": board.status.get("model"),
        "is_busy": board.is_busy,
        "given": board.given,
        "seen_s": round(max(0.0, now - board.seen), 1),
    }


def _number(client: Any) -> int | None:
    return client.peer.number if IConversation.providedBy(client) else None
