"""The HTTP servers that are compared, each before the same daemon."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.processes import ending, environment, wait_for
from benchmarks.suite.contenders import PEERS

OURS, FASTAPI = "ours", "fastapi"
LABELS: Mapping[str, str] = {
    OURS: "`twistd rkllm-http`",
    FASTAPI: "FastAPI on uvicorn",
    "socket": "the daemon's socket",
    "llama": "llama-server",
}


@attrs.frozen
class HTTPServer:
    """A server that runs.

    :param port: where it listens, on 127.0.0.1.
    """

    port: int
    pid: int


def contenders() -> tuple[str, ...]:
    """Return those that are installed."""
    return (OURS, FASTAPI) if importlib.util.find_spec("fastapi") else (OURS,)


def command(name: str, daemon: Path, port: int) -> list[str]:
    """Return the command of a server before a daemon, as a user writes it."""
    if name == FASTAPI:
        return [sys.executable, str(PEERS / "with_fastapi.py"), str(port), str(daemon)]
    twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    listen = f"--listen=tcp:{port}:interface=127.0.0.1"
    return [*twistd, "--nodaemon", "--pidfile=", "rkllm-http", f"--daemon={daemon}", listen]


@contextlib.contextmanager
def serving(names: Sequence[str], daemon: Path) -> Iterator[Mapping[str, HTTPServer]]:
    """Start servers before a daemon."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(_serving(name, daemon)) for name in names}


@contextlib.contextmanager
def _serving(name: str, daemon: Path) -> Iterator[HTTPServer]:
    port = _free_port()
    log = daemon.with_name(f"{name}-{port}.log")
    with log.open("wb") as output, process(command(name, daemon, port), output) as server:
        _wait_until_it_listens(server, port, log)
        yield HTTPServer(port, server.pid)


@contextlib.contextmanager
def process(arguments: Sequence[str], output: object = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process and stop it at the end.

    :param output: a file for what it prints; None: it can be read from the process.
    """
    out: object = subprocess.PIPE if output is None else output
    started = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        env=environment(),  # type: ignore[call-overload]
    )
    with ending(started):
        yield started


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    wait_for(lambda: server.poll() is not None or _listens(port))
    if server.poll() is not None:
        raise RuntimeError(f"the server of port {port} has ended: {log.read_text()[-1000:]}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
