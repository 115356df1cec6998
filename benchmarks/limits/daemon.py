"""The daemon, as its clients see it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from benchmarks.clients import Client
from benchmarks.processes import accepts, ending, wait_for

PROJECT = Path(__file__).resolve().parents[2]
#: Milliseconds per token: of the model that sets the pace, and of the model that is cancelled.
PACE, SLOW = 1, 20
SCRIPT = f"""#!rkllm-script 1
run when "slow"
delay {SLOW}
repeat 1000000 token "x"
run when "pace"
delay {PACE}
repeat 1000000 token "x"
run when "burst"
repeat 2500 token "x"
run
token "ok"
"""


@attrs.frozen
class Daemon:
    """The daemon, as its clients see it."""

    directory: Path
    process: subprocess.Popen[bytes]

    def connect(self) -> Client:
        """Open a connection."""
        return Client(self.directory / "sock")

    @contextlib.contextmanager
    def clients(self, count: int) -> Iterator[list[Client]]:
        """Open connections; at the end, close them and wait until the daemon has noticed."""
        clients = [self.connect() for _ in range(count)]
        yield clients
        for client in clients:
            client.close()
        self.until(lambda status: status["clients"] == 1 and not status["running"])

    def until(self, condition: Callable[[Any], object]) -> None:
        """Wait until the status meets a condition."""
        with contextlib.closing(self.connect()) as client:
            wait_for(lambda: condition(client.ask("server.status")))

    def load(self) -> None:
        """Load the scripted model."""
        model = self.directory / "bench.script"
        model.write_text(SCRIPT)
        client = self.connect()
        param = {"model_path": str(model), "max_new_tokens": 1_000_000}
        assert client.ask("rkllm.init", {"param": param})["success"]
        client.close()

    def ticks(self) -> list[tuple[float, float]]:
        """Return each tick's delay since the last call, and the reactor's own time before it."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.directory / "ticks"))
            data = b"".join(iter(lambda: link.recv(1 << 16), b""))
        numbers = array("d", data)
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def descriptors(self) -> int:
        """Count the open files once the daemon has a single client."""
        with contextlib.closing(self.connect()) as client:
            wait_for(lambda: client.ask("server.status")["clients"] == 1)
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208


@contextlib.contextmanager
def daemon(*arguments: str) -> Iterator[Daemon]:
    """Start a daemon with a model loaded, and stop it at the end."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = [sys.executable, "-m", "benchmarks.limits.ticking", name, *arguments]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=PROJECT)
        with ending(process):
            wait_for(lambda: accepts(directory / "sock") or process.poll() is not None)
            if process.poll() is not None:
                sys.exit((directory / "log").read_text())
            running = Daemon(directory, process)
            running.load()
            yield running
