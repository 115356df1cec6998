"""``rkllm demo --web``: the HTTP service and its chat page, for a daemon that runs."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO, NoReturn

import click

from rkllm_twisted.blocking import Unreachable

#: The service must listen, and must stop, within this time. It takes a second on an idle machine.
SERVICE_TIMEOUT_S = 60.0
#: The port that is tried first.
USUAL_PORT = 8080
_LISTENS = re.compile(r"listening on (\S+:\d+)")


def serve(socket_path: str) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    :param socket_path: the daemon's.
    :raises Unreachable: if the service did not start, or ended by itself.
    """
    # Ctrl-C reaches all processes of the terminal; a signal from elsewhere reaches this one.
    signal.signal(signal.SIGTERM, _end)
    with service(socket_path) as (process, address):
        click.echo(f"\nOpen      http://{address}/\n          Ctrl-C ends everything.")
        sys.stdout.flush()
        try:
            process.wait()
        except KeyboardInterrupt:
            click.echo("\nThe end.")
            return
    raise Unreachable(f"The service has ended by itself, with status {process.returncode}.")


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def service(socket_path: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start the HTTP service, return it and where it listens, and stop it at the end.

    :raises Unreachable: if it did not start; the text has its output.
    """
    run = "from twisted.scripts.twistd import run; run()"
    listen = f"tcp:{usable_port()}:interface=127.0.0.1"
    options = ["rkllm-http", f"--daemon={socket_path}", f"--listen={listen}"]
    click.echo(f"Starting  twistd --nodaemon --pidfile= {shlex.join(options)}")
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", run, "--nodaemon", "--pidfile=", *options],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process, _await_address(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SERVICE_TIMEOUT_S)


def usable_port() -> int:
    """Return the usual port, or 0, which means any, if another program has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            return 0
    return USUAL_PORT


def _await_address(process: subprocess.Popen[bytes], log: IO[str]) -> str:
    """Read where the service listens, once it does."""
    deadline = time.monotonic() + SERVICE_TIMEOUT_S
    while True:
        log.seek(0)
        text = log.read()
        found = _LISTENS.search(text)
        if found:
            return found[1]
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise Unreachable(f"The service did not start:\n{text}")
        time.sleep(0.02)  # the log announces it, and nothing announces the log
