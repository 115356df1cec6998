"""Clients for the benchmarks. They speak JSON lines to a daemon."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

#: Seconds after which a wait fails.
PATIENCE = 60.0


class Client:
    """A connection to the daemon."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")

    def send(self, method: str, params: object = None, request_id: int = 1) -> None:
        """Send a request."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def run(self, prompt: str, method: str = "rkllm.run", request_id: int = 1) -> None:
        """Send a run request."""
        self.send(method, {"rkllm_input": {"prompt_input": prompt}}, request_id)

    def answer(self) -> Any:
        """Read the next message."""
        return json.loads(self._file.readline())

    def ask(self, method: str, params: object = None) -> Any:
        """Send a request, wait for its answer and return the result."""
        self.send(method, params)
        answer = self.answer()
        assert "result" in answer, answer
        return answer["result"]

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()


@contextlib.contextmanager
def clients(path: Path, count: int) -> Iterator[list[Client]]:
    """Open several connections; each has made one request."""
    connected = []
    try:
        for _ in range(count):
            connected.append(Client(path))
            connected[-1].ask("server.ping")
        yield connected
    finally:
        for client in connected:
            client.close()


class Busy:
    """Clients that send pings at a fixed pace, whether or not they were answered.

    :param pause: seconds between two pings of one client.
    :param at_once: pings per message.
    :ivar answers: number of answers so far.
    """

    PING = b'{"jsonrpc":"2.0","id":1,"method":"server.ping"}\n'

    def __init__(self, clients: Sequence[Client], pause: float, at_once: int = 1) -> None:
        self._clients = clients
        self._pause = pause / len(clients)
        self._message = self.PING * at_once
        self._next = 0
        self._due = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self.answers = 0
        for client in clients:
            client.socket.setblocking(False)
            self._selector.register(client.socket, selectors.EVENT_READ)

    def __call__(self) -> None:
        """Read the answers that have come, and send the pings that are due."""
        for key, _ in self._selector.select(0.0005):
            link = key.fileobj
            assert isinstance(link, socket.socket)
            self.answers += link.recv(1 << 16).count(b"\n")
        while self._due <= time.monotonic():
            with contextlib.suppress(BlockingIOError):  # the daemon reads no faster
                self._clients[self._next].socket.send(self._message)
            self._next = (self._next + 1) % len(self._clients)
            self._due += self._pause


#: The busy clients: seconds between two pings of one client, and how many it sends at once.
LOADS = {"10 pings/s each": (0.1, 1), "as many as they can": (0.1, 100)}
