"""Clients of a daemon that is measured. They speak lines."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

#: Seconds after which anything that was waited for has failed.
PATIENCE = 60.0


class Client:
    """A connection."""

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
        """Send a run."""
        self.send(method, {"rkllm_input": {"prompt_input": prompt}}, request_id)

    def answer(self) -> Any:
        """The next message."""
        return json.loads(self._file.readline())

    def ask(self, method: str, params: object = None) -> Any:
        """Send a request and wait for its answer; the result."""
        self.send(method, params)
        answer = self.answer()
        assert "result" in answer, answer
        return answer["result"]

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self.socket.close()


@contextlib.contextmanager
def clients(path: Path, count: int) -> Iterator[list[Client]]:
    """Some connections, each of which has asked something."""
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
    """Clients that send a ping each so many seconds, whether or not they were answered.

    :param pause: seconds between two of one client's.
    :param at_once: so many are sent each time.
    :ivar answers: that have come.
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
        """Read what there is, and send what is due."""
        for key, _ in self._selector.select(0.0005):
            link = key.fileobj
            assert isinstance(link, socket.socket)
            self.answers += link.recv(1 << 16).count(b"\n")
        while self._due <= time.monotonic():
            with contextlib.suppress(BlockingIOError):  # it is not read any faster
                self._clients[self._next].socket.send(self._message)
            self._next = (self._next + 1) % len(self._clients)
            self._due += self._pause


#: What busy clients do: seconds between two of one's pings, and how many it sends at once.
LOADS = {"10 pings/s each": (0.1, 1), "as many as they can": (0.1, 100)}
