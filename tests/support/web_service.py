"""``twistd rkllm-http`` in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from daemons import MAX_WAIT_S, environment, twistd


class WebService:
    """The HTTP service for one daemon, on a port of its own.

    :param socket: the daemon's.
    :param options: further ones of ``twistd rkllm-http``.
    :ivar address: ``http://127.0.0.1:PORT/``.
    """

    def __init__(self, directory: Path, socket: Path, *options: str) -> None:
        self.log = directory / "http.log"
        listen = "--listen=tcp:0:interface=127.0.0.1"
        command = [*twistd(), "--nodaemon", "--pidfile=", "rkllm-http", f"--daemon={socket}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, listen, *options],
                stdout=log,
                stderr=log,
                cwd=directory,
                env=environment(),
            )
        self.address = f"http://{self._await_address()}/"

    def _await_address(self) -> str:
        deadline = time.monotonic() + MAX_WAIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            found = re.search(r"listening on (\S+:\d+)", self.log.read_text())
            if found:
                return found[1]
            time.sleep(0.02)  # nothing to wait for but the log
        self.process.kill()
        pytest.fail(f"the service does not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        """Stop it; its log must hold no traceback."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(MAX_WAIT_S)
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
