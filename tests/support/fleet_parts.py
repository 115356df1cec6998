"""Real daemons, each with a bridge, and a front on a socket; the router is in memory.

Bridges and front run in the reactor of a thread, so that tests may use blocking clients and
commands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemons import MAX_WAIT_S, Daemon
from twisted.application.service import IService
from twisted.internet.threads import blockingCallFromThread

from rkllm_twisted.blocking import Client
from rkllm_twisted.fleet.values import Role
from rkllm_twisted.fleet_service.assembly import front_service
from rkllm_twisted.fleet_service.board_service import BoardService
from rkllm_twisted.fleet_service.front_options import FrontOptions
from rkllm_twisted.testing.daemon import background_reactor
from rkllm_twisted.testing.fleet import InMemoryRouter

#: A model whose runs take half a second, and one whose runs end by themselves never.
PACED = """#!rkllm-script 1
run when "Long"
delay 50
repeat 2000 token "on "
run
delay 100
token "one "
token "two "
token "three "
token "four "
token "five"
"""
TEXT = "one two three four five"


class RealFleet:
    """Daemons in processes of their own, and what joins them.

    :param directory: for sockets and logs.
    :param model: the path of the model that every daemon loads.
    :param count: the number of boards.
    :param more: options of the daemons.
    """

    def __init__(
        self,
        directory: Path,
        model: Path | str,
        count: int = 3,
        *more: str,
    ) -> None:
        self.reactor = background_reactor()
        self._engine = InMemoryRouter().engine
        self.path = str(directory / "front.sock")
        self.daemons: dict[str, Daemon] = {}
        self.services: dict[str, Any] = {}
        for number in range(1, count + 1):
            name = f"b{number}"
            place = directory / name
            place.mkdir()
            options = ("--history", "connection", "--model", str(model))
            self.daemons[name] = Daemon(place, *options, *more)
        for name, daemon in self.daemons.items():
            self.services[name] = self.call(self._board, name, str(daemon.path))
        self.services["front"] = self.call(self._front)
        self.await_boards(count)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the reactor's thread."""
        return blockingCallFromThread(self.reactor, function, *args)

    def _board(self, name: str, daemon: str) -> IService:
        service = BoardService(self.reactor, self._engine(name, Role.BOARD), daemon)
        service.startService()
        return service

    def _front(self) -> IService:
        options = FrontOptions()
        options.needs_router = False  # type: ignore[misc]
        options.parseOptions(["--socket", self.path, "--admin"])
        engine = self._engine("front", Role.ADMIN)
        service = front_service(options, self.reactor, engine)
        service.privilegedStartService()
        service.startService()
        return service

    def status(self) -> Mapping[str, Any]:
        """What the front says of the fleet."""
        with Client(self.path) as client:
            fleet: Mapping[str, Any] = client.call("server.status")["fleet"]
            return fleet

    def await_boards(self, count: int) -> None:
        """Wait until so many boards are free."""
        deadline = time.monotonic() + MAX_WAIT_S
        while self.status()["free"] < count:
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.02)  # the status is the only sign

    def stop(self) -> None:
        """Stop everything, the front first."""
        for service in reversed([*self.services.values()]):
            self.call(service.stopService)
        for daemon in self.daemons.values():
            daemon.stop()


@contextmanager
def real_fleet(
    directory: Path, model: Path | str, count: int = 3, *more: str
) -> Iterator[RealFleet]:
    """Run a fleet for the time of a context."""
    fleet = RealFleet(directory, model, count, *more)
    try:
        yield fleet
    finally:
        fleet.stop()
