"""Raw bytes to and from a daemon of any kind."""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from daemons import MAX_WAIT_S, Daemon
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol

from rkllm_twisted.testing import Answer, Crash, End, FakeDaemon, Hang

#: The real daemon's model: the embedded runtime plays it.
MODEL = """#!rkllm-script 1
run when "endless"
delay 1
repeat 1000000 token "x"
finish
run when "hangs"
token "Once"
hang until abort
run when "crashes"
token "Once"
token " upon"
segv
run when "fails"
token "so far"
error
run when "silent"
token "no end"
nofinish
run when "half"
token "a"
waiting ""
token "é"
finish
run
token "Hello"
token " world"
finish
"""
WAITING = {"text": "", "_callback_state": 1}
#: The same for the fakes, in Python …
ANSWERS: dict[Any, Any] = {
    "endless": Answer(("x",), endless=True),
    "hangs": Answer("Once", then=Hang()),
    "crashes": Answer("Once upon", then=Crash()),
    "fails": Answer(("so far",), then=End.ERROR),
    "silent": Answer(("no end",), then=End.SILENT),
    "half": Answer(("a", WAITING, "é")),
}
#: … and as a script.
SCRIPT = {
    "answers": {
        "endless": {"parts": ["x"], "endless": True},
        "hangs": {"text": "Once", "then": "hang"},
        "crashes": {"text": "Once upon", "then": "crash"},
        "fails": {"parts": ["so far"], "then": "error"},
        "silent": {"parts": ["no end"], "then": "silent"},
        "half": {"parts": ["a", WAITING, "é"]},
    },
    "default": "Hello world",
}


class Wire(Protocol):
    """One connection."""

    def send(self, data: bytes) -> None:
        """Send bytes."""

    def more(self) -> bytes:
        """Wait for the next bytes; no bytes mean that the daemon has closed."""

    def end(self) -> None:
        """Close the sending half, but read on."""

    def leave(self) -> None:
        """Close the connection."""


class SocketWire:
    """A socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(MAX_WAIT_S)
        self._socket.connect(path)
        self.send, self.leave = self._socket.sendall, self._socket.close

    def more(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


class _Collector(TwistedProtocol):
    """Keeps the received bytes, and the only reference to the daemon's end."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: object = None) -> None:
        self.lost = True


class MemoryWire:
    """A connection in memory, and the time in which it happens."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon
        connected: list[Any] = []
        daemon.endpoint().connect(Factory.forProtocol(_Collector)).addCallback(connected.append)
        self._protocol = connected[0]

    def send(self, data: bytes) -> None:
        self._protocol.transport.write(data)

    def more(self) -> bytes:
        self._daemon.flush()
        for _ in range(1000):
            if self._protocol.data or self._protocol.lost:
                break
            self._daemon.advance(0.01)
        data = bytes(self._protocol.data)
        self._protocol.data.clear()
        assert data or self._protocol.lost, "nothing comes"
        return data

    def end(self) -> None:
        self._protocol.transport.loseWriteConnection()

    def leave(self) -> None:
        self._protocol.transport.loseConnection()


#: Parts that differ from run to run: figures, the runtime's own log lines.
MASKS = [
    (re.compile(rb'"perf":\{[^}]*\}'), b'"perf":"PERF"'),
    (re.compile(rb'"lines":\[[^]]*\]'), b'"lines":"LINES"'),
]


class MessageReader:
    """A connection that is read by whole messages."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._data = b""
        self.send, self.end, self.leave = wire.send, wire.end, wire.leave

    def line(self) -> bytes:
        """The next line, without what differs from run to run."""
        while b"\n" not in self._data:
            self._read()
        line, _, self._data = self._data.partition(b"\n")
        return _masked(line)

    def netstring(self) -> bytes:
        """The next netstring's payload, without what differs from run to run."""
        while b":" not in self._data:
            self._read()
        length, _, rest = self._data.partition(b":")
        while len(rest) <= int(length):
            self._read()
            rest = self._data.partition(b":")[2]
        self._data = rest[int(length) + 1 :]
        assert rest[int(length) : int(length) + 1] == b","
        return _masked(rest[: int(length)])

    def rest(self) -> bytes:
        """Everything until the daemon closes."""
        while data := self._wire.more():
            self._data += data
        return self._data

    def _read(self) -> None:
        data = self._wire.more()
        assert data, f"the daemon closed; so far: {self._data!r}"
        self._data += data

    def ask(self, method: str, params: object = None, request_id: object = 1) -> None:
        """Send a request as a line."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        self.send(json.dumps(message).encode() + b"\n")

    def call(self, method: str, params: object = None, request_id: object = 1) -> Any:
        """Send a request and read the one answer."""
        self.ask(method, params, request_id)
        return self.line()


def _masked(message: bytes) -> bytes:
    for pattern, mask in MASKS:
        message = pattern.sub(mask, message)
    return message


class Partner:
    """A daemon of one kind. Its connections are closed at the end."""

    def __init__(self, connect: Any, model: str) -> None:
        self._connect = connect
        self.model = model
        self._talks: list[MessageReader] = []

    def connect(self) -> MessageReader:
        """A new connection."""
        self._talks.append(MessageReader(self._connect()))
        return self._talks[-1]

    def loaded(self) -> MessageReader:
        """A new connection to a daemon that has a model."""
        talk = self.connect()
        talk.call("rkllm.init", [{"model_path": self.model}], "load")
        return talk

    def __enter__(self) -> Partner:
        return self

    def __exit__(self, *_: object) -> None:
        for talk in self._talks:
            talk.leave()


@contextmanager
def real(directory: Path, release: str, *options: str) -> Iterator[Partner]:
    """``twistd rkllm`` with the embedded runtime."""
    model = directory / "model.script"
    model.write_text(MODEL)
    daemon = Daemon(directory, "--abi", release, *options)
    with Partner(lambda: SocketWire(str(daemon.path)), str(model)) as partner:
        yield partner
    daemon.stop()


@contextmanager
def memory(_: Path, release: str, *options: str) -> Iterator[Partner]:
    """A fake daemon in memory."""
    with FakeDaemon(ANSWERS, release=release, options=options) as daemon:
        with Partner(lambda: MemoryWire(daemon), "model.rkllm") as partner:
            yield partner
        daemon.flush()


@contextmanager
def thread(_: Path, release: str, *options: str) -> Iterator[Partner]:
    """A fake daemon in a thread."""
    daemon = FakeDaemon(ANSWERS, release=release, options=options)
    with daemon.listening() as path, Partner(lambda: SocketWire(path), "m.rkllm") as partner:
        yield partner


@contextmanager
def process(directory: Path, release: str, *options: str) -> Iterator[Partner]:
    """A fake daemon in its own process."""
    script = directory / "script.json"
    script.write_text(json.dumps({**SCRIPT, "release": release, "options": options}))
    with (
        fake_process("--script", str(script)) as (_, path),
        Partner(lambda: SocketWire(path), "m.rkllm") as partner,
    ):
        yield partner


@contextmanager
def fake_process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``python -m rkllm_twisted.testing``, and the path on which it says it listens."""
    running = subprocess.Popen(
        [sys.executable, "-m", "rkllm_twisted.testing", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    try:
        assert select.select([running.stdout], [], [], MAX_WAIT_S)[0], "it says nothing"
        yield running, json.loads(running.stdout.readline())["listening"]
    finally:
        running.terminate()
        began = time.monotonic()
        assert running.wait(MAX_WAIT_S) == 0, time.monotonic() - began
        running.stdout.close()


KINDS = {"real": real, "memory": memory, "thread": thread, "process": process}
