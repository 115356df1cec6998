"""A Crossbar router in a process of its own, and members of its fleet.

``make .venv-crossbar/installed`` installs Crossbar into an environment of its own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.router_config import RouterSettings, write
from rkllm_twisted.fleet.values import Role

CROSSBAR = Path(__file__).parents[2] / ".venv-crossbar" / "bin" / "crossbar"


def require_crossbar() -> None:
    """Skip the tests of a module where there is no Crossbar."""
    pytest.importorskip("autobahn", reason="the extra fleet is not installed")
    if not CROSSBAR.exists():
        pytest.skip(
            "Crossbar is not installed: make .venv-crossbar/installed needs Python 3.11",
            allow_module_level=True,
        )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class CrossbarRouter:
    """The process, its keys, and its members.

    :param directory: for its configuration, keys and log.
    :param change: changes the configuration in place.
    :param settings: of the configuration, beside keys, port and socket.
    """

    def __init__(
        self,
        directory: Path,
        change: Callable[[dict[str, Any]], object] | None = None,
        **settings: Any,
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.socket = directory / "fronts.sock"
        self.log = directory / "log"
        self.members: list[Any] = []
        where = (directory / "keys", self.port, "127.0.0.1", self.socket)
        path = write(directory, RouterSettings(*where, **settings))
        if change is not None:
            configuration = json.loads(path.read_text())
            change(configuration)
            path.write_text(json.dumps(configuration))
        (directory / "private").mkdir()
        self.start()

    def start(self) -> None:
        """Start the process and wait until it takes connections."""
        node = str(self.directory / ".crossbar")
        self.log.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(CROSSBAR), "start", "--cbdir", node],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": ""},
            )
        for _ in range(1200):
            text = self.log.read_text()
            if "NODE_BOOT_COMPLETE" in text:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise AssertionError(self.log.read_text()[-4000:])

    def stop(self) -> None:
        """Kill the controller and the router, which is its child."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def key(self, name: str, role: Role) -> Any:
        """Return a member's key, which the router knows from then on."""
        private = self.directory / "private" / f"{role.value}-{name}"
        if not private.exists():
            public = keys.make(private)
            (self.directory / "keys" / role.value / name).write_text(f"{public}\n")
        return keys.read(private)

    def engine(self, name: str, role: Role, *, url: str | None = None, key: Any = None) -> Any:
        """Make a member: a front uses the UNIX socket, all others the WebSocket."""
        from rkllm_twisted.fleet.wamp.engine import WAMPEngine

        if url is None:
            url = f"unix:{self.socket}" if role is Role.FRONT else f"ws://127.0.0.1:{self.port}"
        if key is None:
            key = self.key(name, role)
        self.members.append(WAMPEngine(reactor, url, name, role, key))
        return self.members[-1]

    def cut(self, engine: Any) -> None:
        """Break a member's connection."""
        engine._session.drop()

    async def dismiss(self) -> None:
        """Make all members leave."""
        members, self.members = self.members, []
        left: list[Deferred[None]] = [member.leave() for member in members]
        for one in left:
            await one
