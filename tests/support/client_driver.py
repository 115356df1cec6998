"""Drives a client program: orders go to its stdin, events come from its stdout."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daemons import MAX_WAIT_S, environment

CLIENTS = Path(__file__).parents[1] / "interop" / "clients"
Event = dict[str, Any]


def command(node_modules: Path | None, program: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of a client program."""
    name = sys.executable if program.endswith(".py") else "node"
    paths = {"NODE_PATH": str(node_modules)} if node_modules else {}
    return [name, str(CLIENTS / program)], {**environment(), **paths}


class Driven:
    """A client program under way.

    :ivar events: all that happened so far.
    """

    def __init__(self, arguments: Sequence[str], env: dict[str, str], cwd: Path) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(MAX_WAIT_S)
        self._socket = ours
        self._lines = ours.makefile("r", encoding="utf-8")
        with theirs:
            self.process = subprocess.Popen(
                arguments, stdin=theirs, stdout=theirs, env=env, cwd=cwd
            )
        self.events: list[Event] = []

    def __enter__(self) -> Driven:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        try:
            assert self.process.wait(MAX_WAIT_S) == 0
        finally:
            self.process.kill()
            self._lines.close()
            self._socket.close()

    def _order(self, **order: object) -> None:
        self._socket.sendall(json.dumps(order).encode() + b"\n")

    def call(self, name: str, method: str, params: object = ()) -> None:
        """Order a request under a name that the test chooses."""
        self._order(call=name, method=method, params=params)

    def cancel(self, name: str) -> None:
        """Order the cancellation of a request."""
        self._order(cancel=name)

    def until(self, **fields: object) -> Event:
        """Wait for the next new event with these fields."""
        while True:
            event: Event = json.loads(self._lines.readline())
            self.events.append(event)
            if fields.items() <= event.items():
                return event

    def ended(self, name: str) -> Event:
        """Wait for the end of a call; return how it ended for the library's user."""
        for event in self.events:
            if event.get("call") == name:
                return event
        return self.until(call=name)

    def ask(self, method: str, params: object = ()) -> Any:
        """Order a request and wait for its result."""
        name = f"{method} {len(self.events)}"
        self.call(name, method, params)
        event = self.ended(name)
        assert event["event"] == "result", event
        return event["value"]

    def wire(self, event: str, **fields: object) -> list[Event]:
        """The messages that were sent or that arrived so far."""
        wanted = {"event": event, **fields}
        return [known for known in self.events if wanted.items() <= known.items()]

    def streamed(self, request_id: object) -> list[Event]:
        """The parameters of the notifications that the library handed out for a request."""
        told = [known["params"] for known in self.events if known["event"] == "notified"]
        return [params for params in told if params["id"] == request_id]
