"""``twistd rkllm-http`` in a process of its own, and a client of it."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from daemons import MAX_WAIT_S, environment, twistd


class HTTPProgram:
    """The program, and a client of it.

    :param directory: for its log.
    :param options: of the program.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.log = directory / "http.log"
        command = [*twistd(), "--nodaemon", "--pidfile=", "rkllm-http", *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=directory, env=environment()
            )

    def port(self) -> int:
        """Wait until it listens."""
        deadline = time.monotonic() + MAX_WAIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            match = re.search(r"listening on 127.0.0.1:(\d+)", self.log.read_text())
            if match:
                return int(match[1])
            time.sleep(0.02)  # nothing to wait for but the file
        pytest.fail(f"it does not listen:\n{self.log.read_text()}")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Make a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=MAX_WAIT_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
