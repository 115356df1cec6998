"""A fleet in memory: fake daemons, bridges, a front; one clock moves everything."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.client import Client, connect
from rkllm_twisted.fleet.values import Role
from rkllm_twisted.fleet_service.board_service import BoardService
from rkllm_twisted.fleet_service.front import Front
from rkllm_twisted.fleet_service.front_link import SETTLE_S, FrontLink
from rkllm_twisted.fleet_service.front_options import FrontOptions
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.testing import Answer, FakeDaemon
from rkllm_twisted.testing.fleet import InMemoryRouter
from rkllm_twisted.testing.memory_transport import MemoryEndpoint

#: A paced answer: five tokens, one each tenth of a second.
PACED = Answer("one two three four five", delay=0.1)
#: Where the models of the fake daemons lie.
HOME = tempfile.mkdtemp(prefix="rkllm-fleet-")
atexit.register(shutil.rmtree, HOME)


#: Those that a test has made; ``conftest.py`` ends them.
RIGS: list[FleetRig] = []


def model_file(name: str) -> str:
    """The path of a model of the fake daemons."""
    return f"{HOME}/{name}.rkllm"


@implementer(IStreamClientEndpoint)
class RestartedDaemon:
    """The endpoint of a fake daemon that may be closed and start again."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self.daemon = daemon
        self.is_down = False

    def connect(self, factory: Any) -> Deferred[Any]:
        """See :class:`IStreamClientEndpoint`."""
        if self.is_down:
            return fail(ConnectError(string="down"))
        connected: Deferred[Any] = self.daemon.endpoint().connect(factory)
        return connected


class FleetBoard:
    """A fake daemon and its bridge."""

    def __init__(self, rig: FleetRig, name: str, **daemon: Any) -> None:
        options = daemon.pop("daemon_options", ["--history", "connection"])
        configured = daemon.pop("configured", None)
        self._rig = rig
        self.daemon = FakeDaemon(
            **{"model": model_file("tiny"), "default": PACED, **daemon},
            options=options,
            reactor=rig.clock,
        )
        self.endpoint = RestartedDaemon(self.daemon)
        self.engine = rig.router.engine(name, Role.BOARD)
        self.service = BoardService(rig.clock, self.engine, self.endpoint, configured)
        self.service.startService()

    def stop_daemon(self) -> None:
        """Stop the daemon; the bridge stays."""
        self.endpoint.is_down = True
        self.daemon.close()
        self._rig.advance(1.5)

    def start_daemon(self) -> None:
        """Start the daemon again."""
        self.endpoint.is_down = False

    def crash(self) -> None:
        """End the bridge at once."""
        self._rig.router.disconnect(self.engine)
        self._rig.settle()

    def stop(self) -> Deferred[None]:
        """Stop the bridge in order."""
        return self.service.stopService()

    def end(self) -> None:
        """End the bridge at the end of a test."""
        Deferred.fromCoroutine(self.service.bridge.stop()).addErrback(lambda _: None)


class RigOptions(FrontOptions):
    """Options of a front whose router is in memory."""

    needs_router = False


class FleetRig:
    """A front and its boards.

    :param boards: a name for each board.
    :param options: of the front.
    :param daemon: parameters of the fake daemons.
    """

    def __init__(
        self, boards: Sequence[str] = ("b1", "b2", "b3"), options: Sequence[str] = (), **daemon: Any
    ) -> None:
        RIGS.append(self)
        self.clock = Clock()
        self.router = InMemoryRouter()
        self.boards: dict[str, FleetBoard] = {}
        self.front, self.link = self.make_front("front", options)
        for name in boards:
            self.add(name, **daemon)
        self.settle()
        self.clock.advance(SETTLE_S)
        self.settle()

    def make_front(self, name: str, options: Sequence[str] = ()) -> tuple[Front, FrontLink]:
        """Make a front, which joins at once."""
        parsed = RigOptions()
        parsed.parseOptions([*options, "--socket", "(memory)"])
        link = FrontLink(self.clock, self.router.engine(name, Role.ADMIN))
        link.front = Front(self.clock, parsed, find_methods(), link.send, link.call_board)
        link.startService()
        return link.front, link

    def add(self, name: str, **daemon: Any) -> FleetBoard:
        """Add a board."""
        self.boards[name] = FleetBoard(self, name, **daemon)
        return self.boards[name]

    def end(self) -> None:
        """End all of it at the end of a test."""
        for board in self.boards.values():
            board.end()
        self.settle()
        for board in self.boards.values():
            board.daemon.close()
        self.settle()

    def settle(self, turns: int = 30) -> None:
        """Deliver what is under way."""
        for _ in range(turns):
            self.clock.advance(0)

    def advance(self, seconds: float, step: float = 0.02) -> None:
        """Advance the clock."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.settle(6)

    def client(self, front: Front | None = None) -> Client:
        """Return a new client of the front."""
        endpoint = MemoryEndpoint(self.clock, (front or self.front).factory)
        client: Client = self.result(connect(self.clock, endpoint))
        return client

    def result(self, waiting: Deferred[Any], seconds: float = 0.0) -> Any:
        """Return the result of a Deferred.

        :raises Exception: it has failed.
        """
        results: list[Any] = []
        waiting.addBoth(results.append)
        self.settle()
        if seconds and not results:
            self.advance(seconds)
        assert results, "no result yet"
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]
