"""The front of a fleet: a daemon to its clients, with boards in the place of an NPU."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rkllm_twisted.daemon.assembly import limits_of, permissions_of
from rkllm_twisted.daemon.self_description import describe_for
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.fleet_service.front_about import FleetAbout
from rkllm_twisted.fleet_service.front_methods import CallBoard, front_methods
from rkllm_twisted.fleet_service.front_npu import FleetNPU
from rkllm_twisted.fleet_service.line import Line, Send
from rkllm_twisted.interfaces import IRPCMethod
from rkllm_twisted.offload.parser import Reader
from rkllm_twisted.rpc.access_log import AccessLog
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.server.factory import RPCFactory

#: The seconds that runs may continue once the front stops.
DRAIN_S = 10.0
#: The seconds between two looks at boards that are away.
SWEEP_S = 1.0

_log = Logger("rkllm.fleet")


class Front:
    """What is known of the fleet, the line in front of it, and the clients' connections.

    :param options: of ``twistd rkllm-fleet``, parsed.
    :param methods: those that are installed, by name.
    :param send: makes a call of a request, see :class:`Line`.
    :param call_board: asks one board, for ``fleet.call``.
    :ivar name: which no other front has.
    :ivar line: the line, and what is known of the boards.
    :ivar factory: the clients' connections.
    """

    def __init__(
        self,
        reactor: Any,
        options: Mapping[str, Any],
        methods: Mapping[str, IRPCMethod],
        send: Send,
        call_board: CallBoard,
        reader: Reader | None = None,
    ) -> None:
        self.name = f"front-{secrets.token_hex(4)}"
        self.is_joined = False
        self._reactor = reactor
        self._call_board = call_board
        self.line = Line(reactor, send, lambda: self.is_joined, options["queue"], options["model"])
        npu = FleetNPU(self.line, self.name)
        every = front_methods(methods, self._ask_board)
        self.about = FleetAbout(
            reactor,
            self.line,
            npu,
            self.name,
            lambda: len(self.factory.connections),
            lambda: describe_for(every, npu.release),
            lambda: self.is_joined,
        )
        access_log = AccessLog(options["log-level"], options["log-prompts"])
        permissions = permissions_of(options)  # type: ignore[arg-type]  # the same names
        self.factory = RPCFactory(
            Dispatcher(every, npu, self.about, access_log),
            reactor,
            options["max-clients"],
            limits_of(options),  # type: ignore[arg-type]  # the same names
            permissions.admit,
            permissions.administers,
            has_reserve=permissions.has_reserve,
            read_elsewhere=None if reader is None else reader.read,
        )

    def joined(self) -> None:
        """Take in that the front is joined, and knows the boards that were there before."""
        self.is_joined = True
        self.line.boards.joined(self._reactor.seconds())
        self.line.go_on()

    def lost(self) -> None:
        """Take in that the router is gone. What waits waits on."""
        self.is_joined = False
        self.line.boards.lost_all(self._reactor.seconds())

    def saw(self, board: str, status: Mapping[str, Any]) -> None:
        """Take in a board's event."""
        self.line.boards.saw(board, status, self._reactor.seconds())
        self.line.go_on()

    def left(self, board: str) -> None:
        """Take in that a board has left, or was lost."""
        self.line.boards.left(board, self._reactor.seconds())
        self.line.go_on()

    def sweep(self) -> None:
        """Forget the boards that have been away for long; what waits for them alone is refused."""
        if self.is_joined:  # else nobody knows whether they are
            self.line.boards.forget(self._reactor.seconds())
        if len(self.line):
            self.line.go_on()

    def _ask_board(self, board: str, method: str, params: Any, on_results: Any) -> Deferred[Any]:
        known = self.line.boards.get(board)
        if known is None or not known.is_here:
            here = [one.name for one in self.line.boards.values() if one.is_here]
            names = ", ".join(sorted(here)) or "none"
            return fail(
                InvalidParams(
                    f"The fleet has no board {board[:100]!r} now; there are: {names}.",
                    {"parameter": "board"},
                )
            )
        return self._call_board(board, method, params, on_results)


class FrontService(MultiService):
    """Starts and stops a front: the engine, then the socket.

    :param engine: joins the fleet, and leaves it.
    :param listener: the clients' socket.
    :param reader: parses big messages; this service stops it.
    """

    def __init__(
        self,
        reactor: Any,
        front: Front,
        engine: IService,
        listener: IService,
        reader: Reader | None = None,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self.front = front
        self._engine = engine
        self._reader = reader
        self._sweep = LoopingCall(front.sweep)
        self._sweep.clock = reactor
        listener.setServiceParent(self)

    def startService(self) -> None:
        """Open the socket, then join."""
        super().startService()  # if the socket cannot open, nothing else has started
        self._engine.startService()
        self._sweep.start(SWEEP_S, now=False).addErrback(
            lambda failure: _log.failure("looking at the boards failed", failure=failure)
        )

    def stopService(self) -> Deferred[None]:
        """Stop accepting, let the runs end for a while, and leave."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(super().stopService)
        if self._sweep.running:
            self._sweep.stop()
        drained = self.front.line.drain()
        try:
            await drained.addTimeout(DRAIN_S, self._reactor)
        except (CancelledError, DeferredTimeout):
            self.front.line.close()
        await self.front.factory.close_all()
        if self._reader is not None:
            self._reader.stop()
        await maybeDeferred(self._engine.stopService)

    def summary(self) -> str:
        """Return what it does, in a line for people."""
        line = self.front.line
        here = [board for board in line.boards.values() if board.is_here]
        joined = "" if self.front.is_joined else "the router cannot be reached; "
        return (
            f"{joined}boards: {len(here)}; under way: {len(line.under_way)}; waiting: {len(line)};"
            f" clients: {len(self.front.factory.connections)}"
        )

    def is_alive(self) -> bool:
        """Return True: what can hang is the reactor, and then nothing asks."""
        return True
