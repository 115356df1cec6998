"""A real daemon in its own process, and a client that uses only sockets and JSON."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

#: Seconds after which anything that was waited for has failed.
MAX_WAIT_S = 30.0


class RawClient:
    """Raw bytes on the socket; lines of JSON unless told otherwise."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(MAX_WAIT_S)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self._buffer = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._buffer += data

    def line(self) -> Any:
        """The next line, as JSON."""
        while b"\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def netstring(self) -> Any:
        """The next netstring, as JSON."""
        while b":" not in self._buffer:
            self._more()
        length, _, rest = self._buffer.partition(b":")
        while len(rest) < int(length) + 1:
            self._more()
            rest = self._buffer.partition(b":")[2]
        payload, comma, self._buffer = (
            rest[: int(length)],
            rest[int(length) :][:1],
            rest[int(length) + 1 :],
        )
        assert comma == b","
        return json.loads(payload)

    def eof(self) -> bytes:
        """Everything until the daemon closes the connection."""
        while True:
            try:
                self._more()
            except (EOFError, ConnectionResetError):
                return self._buffer

    def send(self, message: object) -> None:
        """Send one message as a line."""
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, method: str, params: Any = None, request_id: Any = 1) -> Any:
        """Send a request and give its one answer."""
        request = {"jsonrpc": "2.0", "id": request_id, "method": method}
        self.send(request if params is None else {**request, "params": params})
        return self.line()

    def stream(self, method: str, params: Any, request_id: Any = 1) -> list[Any]:
        """Send a request and give all its answers, up to the one that ends the stream."""
        answers = [self.ask(method, params, request_id)]
        while "result" in answers[-1] and answers[-1]["result"]["_callback_state"] not in (2, 3):
            answers.append(self.line())
        return answers


class Daemon:
    """``twistd -n rkllm`` in a process of its own.

    :param options: after ``rkllm``, beside the socket.
    :param twistd_options: before it.
    :param wrapper: a command that starts the daemon in its place.
    :param stdout: a descriptor for its output; a file by default.
    :param program: another twistd than that of this Python.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        library: str | None = "cpu",
        twistd_options: Sequence[str] = ("--nodaemon", "--pidfile="),
        wrapper: Sequence[str] = (),
        stdout: int | None = None,
        program: Sequence[str] | None = None,
    ) -> None:
        self.path = directory / "rkllm.sock"
        self.log = directory / "daemon.log"
        command = [
            *wrapper,
            *(twistd() if program is None else program),
            *twistd_options,
            "rkllm",
            f"--socket={self.path}",
            *([f"--library={library}"] if library else []),
            *options,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log if stdout is None else stdout,
                stderr=log,
                cwd=directory,
                env=environment(),
            )
        self._await_socket()

    def _await_socket(self) -> None:
        deadline = time.monotonic() + MAX_WAIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.path)) == 0:
                    return
            time.sleep(0.01)  # nothing to wait for but the file
        pytest.fail(f"the daemon does not answer:\n{self.log.read_text()}")

    def connect(self) -> RawClient:
        """A new connection."""
        return RawClient(self.path)

    def load(self, model: Path | str, **param: object) -> None:
        """Load a model."""
        with self.connect() as client:
            answer = client.ask("rkllm.init", [{"model_path": str(model), **param}])
            assert answer["result"] == {"success": True, "status_code": 0}

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(MAX_WAIT_S)


def twistd() -> list[str]:
    """The twistd of this Python."""
    return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


def environment() -> dict[str, str]:
    """The environment of this process, without the variables that configure a daemon."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RKLLM_")}
