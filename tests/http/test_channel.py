"""Connections: bodies are bounded before they are read, and half-closed clients are served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from http_rig import HTTPRig, request_bytes
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import Site

from rkllm_twisted.http.channel import ARRIVAL_S, LINGER_S, ServiceChannel
from rkllm_twisted.http.site import FULL_BODIES
from rkllm_twisted.testing import Answer

PATH = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
LIMIT = 1000


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig("--max-body", str(LIMIT), answers={"Hello": Answer("Hi you", delay=1.0)})
    yield rig
    rig.close()


def head(*fields: str, path: str = PATH) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (PATH, {"type": "invalid_request_error", "code": "body_too_large"}),
        ("/v1/messages", {"type": "request_too_large"}),
    ],
)
def test_a_long_body_is_refused_before_it_comes(rig: HTTPRig, path: str, form: object) -> None:
    visitor = rig.visit(head(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue", path=path))
    response = visitor.response
    assert response is not None
    assert response.status == 413
    assert form.items() <= response.json["error"].items()  # type: ignore[attr-defined]
    assert b"100 Continue" not in visitor.data


def test_a_long_body_of_ollamas_api_is_refused_in_its_form(rig: HTTPRig) -> None:
    response = rig.visit(head(f"Content-Length: {LIMIT + 1}", path="/api/chat")).response
    assert response is not None
    assert isinstance(response.json["error"], str)


def test_a_body_in_chunks_is_refused_when_it_gets_too_long(rig: HTTPRig) -> None:
    visitor = rig.visit(head("Transfer-Encoding: chunked"))
    for _ in range(3):
        visitor.transport.write(b"190\r\n" + bytes(0x190) + b"\r\n")
        rig.settle()
    assert visitor.response is not None
    assert visitor.response.status == 413
    assert rig.site.held == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_with_two_hosts_is_refused(rig: HTTPRig, method: str) -> None:
    """A proxy may go by the other one (RFC 9112, section 3.2)."""
    lines = [f"{method} {PATH} HTTP/1.1", "Host: localhost", "Host: evil.example"]
    response = rig.visit("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()).response
    assert response is not None
    assert (response.status, response.json["error"]["code"]) == (400, "several_hosts")


def test_a_refused_client_may_go_on_sending_for_a_while(rig: HTTPRig) -> None:
    visitor = rig.visit(head(f"Content-Length: {LIMIT + 1}") + bytes(100))
    for _ in range(10):
        visitor.transport.write(bytes(100_000))
        rig.settle()
    assert not visitor.is_closed
    rig.advance(LINGER_S)
    assert visitor.is_closed


def test_a_body_of_the_longest_size_is_taken(rig: HTTPRig) -> None:
    body = json.dumps(HELLO).encode()
    padded = body + b" " * (LIMIT - len(body))
    assert rig.post(PATH, padded).status == 200
    assert rig.site.held == 0


def test_a_body_that_is_waited_for_is_asked_for(rig: HTTPRig) -> None:
    body = json.dumps(HELLO).encode()
    visitor = rig.visit(head(f"Content-Length: {len(body)}", "Expect: 100-continue"))
    assert visitor.data == b"HTTP/1.1 100 Continue\r\n\r\n"
    visitor.transport.write(body)
    for _ in range(4):
        rig.advance(1)
    assert visitor.response is not None
    assert visitor.response.status == 200


def test_all_bodies_together_are_bounded(rig: HTTPRig) -> None:
    for _ in range(FULL_BODIES):
        rig.visit(head(f"Content-Length: {LIMIT}") + bytes(LIMIT - 1))
    visitor = rig.visit(head(f"Content-Length: {LIMIT}") + bytes(LIMIT - 1))
    assert visitor.response is not None
    assert visitor.response.status == 503


def test_a_body_that_does_not_come_is_given_up(rig: HTTPRig) -> None:
    visitor = rig.visit(head("Content-Length: 100") + b"{")
    for _ in range(int(ARRIVAL_S / 10) + 1):
        visitor.transport.write(b" ")  # the timeout of idle connections must not be what ends it
        rig.advance(10)
    assert visitor.is_closed
    assert rig.site.held == 0


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_request_may_come_in_pieces(rig: HTTPRig, size: int) -> None:
    data = request_bytes("POST", PATH, {**HELLO, "seed": 1}, {"Connection": "close"})
    visitor = rig.visit()
    for at in range(0, len(data), size):
        visitor.transport.write(data[at : at + size])
        rig.settle()
    for _ in range(4):
        rig.advance(1)
    assert visitor.response is not None
    assert visitor.response.status == 200
    assert visitor.is_closed


def test_requests_one_after_another_on_a_connection_are_answered_in_order(rig: HTTPRig) -> None:
    data = request_bytes("POST", PATH, {**HELLO, "stream": True})
    visitor = rig.visit(data + request_bytes("GET", "/health"))
    for _ in range(4):
        rig.advance(1)
    first, _, second = visitor.data.partition(b"[DONE]")
    assert b"text/event-stream" in first
    assert b'{"status":"ok"}' in second


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_closes_its_half_gets_its_answer(rig: HTTPRig, stream: bool) -> None:
    visitor = rig.start("POST", PATH, {**HELLO, "stream": stream})
    visitor.transport.loseWriteConnection()
    for _ in range(4):
        rig.advance(1)
    assert visitor.response is not None
    assert b"Hi" in visitor.response.body
    assert visitor.is_closed


def test_a_client_that_closes_its_half_amid_its_request_is_left(rig: HTTPRig) -> None:
    visitor = rig.visit(head("Content-Length: 100") + b"{")
    visitor.transport.loseWriteConnection()
    rig.settle()
    assert visitor.is_closed


def test_an_old_client_gets_a_stream_without_chunks(rig: HTTPRig) -> None:
    data = request_bytes("POST", PATH, {**HELLO, "stream": True})
    visitor = rig.visit(data.replace(b"HTTP/1.1", b"HTTP/1.0"))
    for _ in range(4):
        rig.advance(1)
    assert visitor.is_closed
    assert visitor.response is not None
    assert visitor.response.events[-1] == "[DONE]"


def test_an_idle_connection_is_closed(rig: HTTPRig) -> None:
    visitor = rig.visit()
    rig.advance(rig.site.limits.idle_s)
    assert visitor.is_closed


def test_connections_are_bounded() -> None:
    rig = HTTPRig("--max-connections", "2")
    visitors = [rig.visit() for _ in range(2)]
    with pytest.raises(ConnectError):
        rig.visit()
    visitors[0].transport.loseConnection()
    rig.settle()
    assert not rig.visit().is_closed
    rig.close()


def test_stopping_ends_idle_connections_now_and_the_others_when_they_are_answered(
    rig: HTTPRig,
) -> None:
    idle, busy = rig.visit(), rig.start("POST", PATH, HELLO)
    stopped = rig.service.stopService()
    rig.settle()
    assert idle.is_closed
    assert not busy.is_closed
    for _ in range(4):
        rig.advance(1)
    assert busy.response is not None
    assert busy.response.status == 200
    assert stopped.called


def channel_on_a_clock() -> Any:
    channel: Any = ServiceChannel()
    channel.callLater = Clock().callLater
    return channel


class OpenTransport(Connection):
    """The transport of a socket.

    :param takes: the bytes that the socket takes at once; None: it fails.
    :ivar flushes: how often it was told to write what waits.
    """

    connected = True

    def __init__(self, takes: int | None) -> None:
        self.socket: Any = self
        self.takes, self.sent, self.flushes = takes, b"", 0
        self._tempDataBuffer: list[bytes] = []

    def send(self, data: bytes) -> int:
        if self.takes is None:
            raise BlockingIOError
        self.sent += data[: self.takes]
        return len(data[: self.takes])

    def write(self, data: bytes) -> None:
        self._tempDataBuffer.append(data)

    def doWrite(self) -> None:
        self.flushes += 1

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """It is not asked."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """It has none."""

    def loseConnection(self) -> None:
        self.disconnecting = True


@pytest.mark.parametrize(
    ("takes", "sent", "rest"),
    [(9, b"token", []), (2, b"to", [b"ken"]), (0, b"", [b"token"]), (None, b"", [b"token"])],
)
def test_what_the_socket_does_not_take_now_is_left_to_the_reactor(
    takes: int | None, sent: bytes, rest: list[bytes]
) -> None:
    channel, transport = channel_on_a_clock(), OpenTransport(takes)
    channel.makeConnection(transport)
    channel.write(b"token")
    assert transport.sent == sent
    assert transport._tempDataBuffer == rest


def test_an_answers_head_and_the_first_of_its_body_are_sent_at_once() -> None:
    channel, transport = channel_on_a_clock(), OpenTransport(99)
    channel.makeConnection(transport)
    channel.writeHeaders(b"HTTP/1.1", b"200", b"OK", Headers({b"A": [b"1", b"2"]}))
    assert transport.sent == b""
    channel.writeSequence([b"bo", b"dy"])
    assert transport.sent == b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\n\r\nbody"


def test_nothing_overtakes_what_the_reactor_has_still_to_write() -> None:
    channel, transport = channel_on_a_clock(), OpenTransport(9)
    channel.makeConnection(transport)
    transport.write(b"first")
    channel.write(b"second")
    assert transport.sent == b""
    assert transport._tempDataBuffer == [b"first", b"second"]
    assert transport.flushes == 1


def test_nothing_is_sent_on_a_connection_that_closes() -> None:
    channel, transport = channel_on_a_clock(), OpenTransport(9)
    channel.makeConnection(transport)
    transport.loseConnection()
    channel.write(b"token")
    assert transport.sent == b""
    assert transport.flushes == 0  # it closes once it has written the rest itself


def test_a_transport_that_is_no_socket_is_left_alone() -> None:
    channel, transport = channel_on_a_clock(), StringTransport()
    channel.makeConnection(transport)
    channel.write(b"token")
    assert transport.value() == b"token"


def test_a_head_request_has_no_body(rig: HTTPRig) -> None:
    visitor = rig.start("HEAD", "/health", None, {"Connection": "close"})
    assert visitor.data.startswith(b"HTTP/1.1 200")
    assert visitor.data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": NaN}'])
def test_what_is_no_object_in_json_is_refused_in_words(body: bytes) -> None:
    rig = HTTPRig()
    response = rig.post(PATH, body)
    assert response.status == 400
    assert response.json["error"]["message"].endswith(".")
    rig.close()


@pytest.mark.parametrize("stream", [False, True])
def test_the_resource_answers_in_a_site_of_an_applications_own(stream: bool) -> None:
    rig = HTTPRig(answers={"Hello": "Hi"})
    root = Resource()
    root.putChild(b"llm", rig.service.resource)
    channel: Any = Site(root, reactor=rig.clock).buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    transport = StringTransport()
    channel.makeConnection(transport)
    channel.dataReceived(request_bytes("POST", f"/llm{PATH}", {**HELLO, "stream": stream}))
    rig.settle()
    rig.advance(0.01)
    assert b"200 OK" in transport.value()
    assert b'"content":"Hi"' in transport.value()
    channel.connectionLost(Failure(ConnectionDone()))
    rig.close()
