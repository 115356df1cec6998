"""The HTTP service over a fake daemon, all in memory: a clock moves everything."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from inference_rig import furnish
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.http.registry import Routes, find_routes
from rkllm_twisted.http_service.assembly import Options, service_for
from rkllm_twisted.testing import Answer, FakeDaemon
from rkllm_twisted.testing.memory_transport import MemoryEndpoint

#: Where the models of the fake daemons would lie.
HOME = tempfile.mkdtemp(prefix="rkllm-http-")
atexit.register(shutil.rmtree, HOME)
MODEL = f"{HOME}/mine.rkllm"


@attrs.frozen
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of the server-sent events; comments are left out."""
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == "", "the last event has no end"
        lines = [block.split("\n")[-1] for block in blocks]
        return [line.removeprefix("data: ") for line in lines if not line.startswith(":")]

    @property
    def chunks(self) -> list[Any]:
        """The events' JSON, without the last ``[DONE]``."""
        *chunks, done = self.events
        assert done == "[DONE]"
        return [json.loads(chunk) for chunk in chunks]


def read_response(data: bytes, closed: bool = False) -> Response | None:
    """Read an answer from what has come; None if it is not whole yet."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    if head.startswith(b"HTTP/1.1 100"):
        return read_response(body, closed)
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1])
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        whole = dechunked(body)
        return None if whole is None else Response(status, headers, whole)
    if "content-length" in headers:
        length = int(headers["content-length"])
        return Response(status, headers, body[:length]) if len(body) >= length else None
    if status == 204:
        return Response(status, headers, b"")
    return Response(status, headers, body) if closed else None


def dechunked(data: bytes, partial: bool = False) -> bytes | None:
    """Join chunks; None if the last one has not come, unless a part will do."""
    joined = b""
    while True:
        size, separator, data = data.partition(b"\r\n")
        if not separator:
            return joined if partial else None
        length = int(size, 16)
        if length == 0:
            return joined
        joined += data[:length]
        data = data[length + 2 :]


@implementer(IHalfCloseableProtocol)
class Visitor(Protocol):
    """A client of HTTP that keeps all bytes."""

    def __init__(self) -> None:
        self.data = b""
        self.is_closed = False
        self.has_ended = False  # nothing more comes

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def readConnectionLost(self) -> None:
        """It may go on sending."""
        self.has_ended = True

    def writeConnectionLost(self) -> None:
        """It goes on reading."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.is_closed = True

    @property
    def response(self) -> Response | None:
        return read_response(self.data, self.is_closed)

    @property
    def streamed(self) -> str:
        """What has come of a stream that is not over."""
        return (dechunked(self.data.partition(b"\r\n\r\n")[2], partial=True) or b"").decode()


@functools.cache
def _installed() -> Routes:
    return find_routes()


class HTTPRig:
    """The service, its fake daemons, and clients.

    :param options: of ``twistd rkllm-http``.
    :param daemons: the parameters of each daemon's :class:`FakeDaemon`, in place of ``daemon``'s,
        and ``is_there``.
    :param is_there: False if the daemon cannot be connected to.
    """

    def __init__(
        self,
        *options: str,
        daemons: Sequence[Mapping[str, Any]] | None = None,
        routes: Iterable[Any] | None = None,
        is_there: bool = True,
        **daemon: Any,
    ) -> None:
        self.clock = Clock()
        self.daemons: list[FakeDaemon] = []
        addresses = []
        for one in daemons or [{"is_there": is_there, **daemon}]:
            given = {"is_there": True, "model": MODEL, "reactor": self.clock, **one}
            there = given.pop("is_there")
            self.daemons.append(FakeDaemon(**given))
            nobody = MemoryEndpoint(self.clock, None)
            addresses.append(self.daemons[-1].endpoint() if there else nobody)
        self.daemon = self.daemons[0]
        parsed = Options()
        parsed.parseOptions(["--listen", "unix:/nowhere", *options])
        found = _installed() if routes is None else Routes([*_installed().all, *routes])
        self.service = service_for(parsed, addresses, found, self.clock)
        self.site = self.service.site

    @property
    def runs(self) -> bool:
        """True if the first daemon's NPU runs."""
        assert self.daemon._memory is not None
        return self.daemon._memory[0].status().running is not None

    def settle(self) -> None:
        """Make every call of the clock that is due."""
        for _ in range(200):
            self.clock.advance(0)
            if not any(call.getTime() <= self.clock.seconds() for call in self.clock.calls):
                return

    def advance(self, seconds: float) -> None:
        """Advance the clock, and make the calls that become due."""
        self.settle()
        self.clock.advance(seconds)
        self.settle()

    def visit(self, data: bytes = b"") -> Visitor:
        """Connect, and send bytes."""
        connected: list[Any] = []
        endpoint = MemoryEndpoint(self.clock, self.site)
        endpoint.connect(Factory.forProtocol(Visitor)).addBoth(connected.append)
        if isinstance(connected[0], Failure):
            connected[0].raiseException()
        visitor: Visitor = connected[0]
        if data:
            visitor.transport.write(data)
        self.settle()
        return visitor

    def start(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Visitor:
        """Send a request; :meth:`settle` and :meth:`advance` bring the answer."""
        return self.visit(request_bytes(method, path, body, headers))

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request and return its answer."""
        visitor = self.start(method, path, body, headers)
        for attempt in range(100):
            self.settle()
            response = visitor.response
            if response is not None:
                visitor.transport.loseConnection()
                self.settle()
                return response
            self.advance(0.01 if attempt < 50 else 1)
        raise AssertionError(f"no whole answer: {visitor.data!r}")

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Response:
        """Send a POST request and return its answer."""
        return self.ask("POST", path, body, headers)

    def close(self) -> None:
        """End the daemons."""
        for daemon in self.daemons:
            daemon.close()
        self.settle()


def request_bytes(
    method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return a request: bytes are sent as they are, other bodies as JSON."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Host": "localhost:8080", **({"Content-Length": str(len(data))} if data else {})}
    fields |= headers or {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


def rig_with(tier: str, directory: Path) -> HTTPRig:
    """Serve a model ``m`` with the files of a tier, which answers "Hi!" in three tokens."""
    script = furnish(directory, tier)
    script.with_suffix(".rkllm").write_bytes(b"\x07" * 900 + b"rkllm-toolkit version: 1.2.3\n")
    script.unlink()
    options = ["--model-dir", str(directory)]
    return HTTPRig(default=Answer(list("Hi!")), model=None, options=options)
