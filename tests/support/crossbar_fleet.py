"""A fleet over a real router: daemons, bridges and a front, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from certificates import self_signed
from crossbar_router import CrossbarRouter
from daemons import MAX_WAIT_S, Daemon, environment, twistd
from fleet_parts import PACED

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import Unreachable
from rkllm_twisted.fleet.values import Role


class Fleet:
    """A router, three boards and a front.

    The boards come by TLS with a certificate that signs itself, the front by a UNIX socket.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "front.sock")
        self.model = directory / "paced.script"
        self.model.write_text(PACED)
        self.certificate = self_signed(directory / "router.pem")
        self.router = CrossbarRouter(directory / "router", certificate=self.certificate)
        self.daemons: dict[str, Daemon] = {}
        self.bridges: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("b1", "b2", "b3"):
            place = directory / name
            place.mkdir()
            options = ("--history", "connection", "--model", str(self.model))
            self.daemons[name] = Daemon(place, *options)
            self.start_bridge(name)
        self.start_front()
        self.await_boards(3)

    def start_front(self) -> None:
        """Start the front."""
        self.front = self.twistd_member(
            *("rkllm-fleet", "front", Role.ADMIN, f"unix:{self.router.socket}"),
            *("--socket", self.path, "--admin"),
        )

    def start_bridge(self, name: str) -> None:
        """Start the bridge of a board."""
        url = f"wss://127.0.0.1:{self.router.port}"
        options = ("--daemon", str(self.daemons[name].path), "--ca", str(self.certificate))
        self.bridges[name] = self.twistd_member("rkllm-board", name, Role.BOARD, url, *options)

    def twistd_member(
        self, program: str, name: str, role: Role, url: str, *options: str
    ) -> subprocess.Popen[bytes]:
        """Start a bridge or a front under a name whose key the router knows."""
        self.router.key(name, role)
        key = self.router.directory / "private" / f"{role.value}-{name}"
        joining = ("--router", url, "--name", name, "--key", str(key))
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*twistd(), "--nodaemon", "--pidfile=", program, *joining, *options],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment(),
            )

    def status(self) -> Any:
        """What the front says of the fleet."""
        with Client(self.path) as client:
            return client.call("server.status")["fleet"]

    def await_boards(self, count: int, patience: float = 2 * MAX_WAIT_S) -> float:
        """Wait until so many boards are free; return the seconds."""
        began = time.monotonic()
        while True:
            try:
                status: Any = self.status()
                if status["free"] == count:
                    return time.monotonic() - began
            except Unreachable as error:
                status = error
            if time.monotonic() - began > patience:
                logs = [path.read_text()[-2000:] for path in self.directory.glob("*.log")]
                raise AssertionError("\n".join([str(status), *logs]))
            time.sleep(0.02)  # the status is the only sign

    def busy(self) -> str:
        """The board that has a run, once the front knows that earlier ones have ended."""
        ended = time.monotonic() + MAX_WAIT_S
        while True:
            names = [row["board"] for row in self.status()["boards"] if row["is_busy"]]
            if len(names) == 1 or time.monotonic() > ended:
                [name] = names
                return str(name)
            time.sleep(0.01)  # the status is the only sign

    def stop(self) -> None:
        """Stop everything, the front first."""
        for process in (self.front, *self.bridges.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in (self.front, *self.bridges.values()):
            process.wait(MAX_WAIT_S)
        for daemon in self.daemons.values():
            daemon.stop()
        self.router.stop()


def first_tokens(client: Client, count: int) -> tuple[Any, list[Any]]:
    """Begin a long run; the stream, and the first tokens."""
    results = client.stream("rkllm.run_async", [{"prompt_input": "Long"}])
    return results, [next(results) for _ in range(count)]
