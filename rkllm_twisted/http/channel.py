"""The HTTP connection: refuses a body before it is read, and serves clients that half-close."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import msgspec
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.error_bodies import BODIES, api_of, headers_of
from rkllm_twisted.server.bare_socket import is_bare, unsent

#: The seconds that a refused client has to read the answer, while it may still send its body.
LINGER_S = 2.0
#: The seconds that a request may take to arrive.
ARRIVAL_S = 120.0
#: The seconds after a probe at which the connection is looked at.
LOOKS_S = (0.005, 0.03, 0.1, 0.5, 2.0)
#: Goes to a client that has closed its half while nothing was sent. A client reads over it (RFC
#: 9110, section 15.2); the kernel of one that has left answers with a reset.
PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHalfCloseableProtocol)
class ServiceChannel(http.HTTPChannel):
    """One connection.

    A client that has sent its request may close its half of the connection and read on. One that
    leaves looks the same at first, so the connection is probed then: the kernel of a client that
    has left answers with a reset.
    """

    transport: Any  # that of a socket has abortConnection, which ITransport lacks
    factory: Any

    def __init__(self) -> None:
        super().__init__()
        self.request_line = b""
        self.is_refused = False
        self._is_half_closed = False
        self._timers: list[Any] = []
        self._arrival: Any = None
        self._is_bare = False
        self._head = b""

    def connectionMade(self) -> None:
        """See whether the transport is a socket's."""
        super().connectionMade()
        self._is_bare = is_bare(self.transport)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """Keep the head of an answer until there is something of its body: they go out together."""
        lines = [b"%b %b %b\r\n" % (version, code, reason)]
        for name, values in headers.getAllRawHeaders():
            lines += [b"%b: %b\r\n" % (name, value) for value in values]
        self._head = b"".join([*lines, b"\r\n"])

    def write(self, data: bytes) -> None:
        """Send a part of an answer now, not in the reactor's next turn.

        Twisted's transports ask the kernel first whether a socket takes more: a turn, and two calls
        of epoll_ctl, for each token. What the kernel does not take, and errors, are left to the
        reactor.
        """
        if self._head:
            data, self._head = self._head + data, b""
        rest = unsent(self.transport, data) if self._is_bare else data
        if rest:
            self.transport.write(rest)
            if self._is_bare and not self.transport.disconnecting:
                self.transport.doWrite()  # the client may have read since the reactor looked

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send parts of an answer now."""
        self.write(b"".join(iovec))

    def flush(self) -> None:
        """Send the head of an answer without waiting for its body."""
        if self._head:
            self.write(b"")

    # A request arrives

    def lineReceived(self, line: bytes) -> None:
        """Note the first line, which errors before the body's end need."""
        if not self.requests and line:
            self.request_line = line
            self._arrival = self.callLater(ARRIVAL_S, self.transport.abortConnection)
        super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """Drop the body of a request that has been refused."""
        if not self.is_refused:
            super().rawDataReceived(data)

    def dataReceived(self, data: bytes) -> None:
        """Drop what a refused client still sends."""
        if not self.is_refused:
            super().dataReceived(data)

    def allContentReceived(self) -> None:
        """Stop the timer of the request's arrival."""
        self._has_arrived()
        super().allContentReceived()

    def _has_arrived(self) -> None:
        if self._arrival is not None and self._arrival.active():
            self._arrival.cancel()
        self._arrival = None

    def refuse(self, error: HTTPError) -> None:
        """Answer with an error before the body has come, and close the connection.

        Closing at once would make the kernel reset the connection, and the answer would be lost.
        """
        self.is_refused = True
        self._has_arrived()
        self.setTimeout(None)
        self.transport.write(refusal(error, self.request_line))
        half_close = getattr(self.transport, "loseWriteConnection", self.transport.loseConnection)
        half_close()
        self._timers.append(self.callLater(LINGER_S, self.transport.abortConnection))

    # A client closes its half

    def readConnectionLost(self) -> None:
        """Serve the request under way, if there is one and the client is still there."""
        if self.is_refused or not self.requests or not self.requests[0].has_arrived:
            self.transport.loseConnection()
            return
        self._is_half_closed = True
        self.probe()

    def writeConnectionLost(self) -> None:
        """Nothing more can be sent, as was asked for."""

    def requestDone(self, request: Any) -> None:
        """Go on with the next one; close after the last one to a client that sends nothing more."""
        self.flush()  # an answer may have no body
        super().requestDone(request)
        if self._is_half_closed and not self.requests:
            self.transport.loseConnection()

    def probe(self) -> None:
        """Send what a client reads over, and see whether it makes the kernel reset."""
        self.requests[0].probe(PROBE)
        self._timers += [self.callLater(delay, self._look) for delay in LOOKS_S]

    def _look(self) -> None:
        if self.requests and is_reset(self.transport):
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Stop the timers."""
        self._is_bare = False
        self._has_arrived()
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._timers.clear()
        super().connectionLost(reason)
        self.factory.left(self)


def is_reset(transport: Any) -> bool:
    """True if the peer's kernel has reset the connection."""
    handle = getattr(transport, "getHandle", lambda: None)()
    if handle is None or handle.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(handle, 0)
    return bool(poll.poll(0))


def asked_in(request_line: bytes) -> tuple[str, str]:
    """Return the method and the path that the first line of a request has."""
    method, _, rest = request_line.decode("latin-1").partition(" ")
    return method, unquote(rest.partition(" ")[0].partition("?")[0])


def refusal(error: HTTPError, request_line: bytes) -> bytes:
    """Return a whole answer, in the form of the API that the request's path belongs to."""
    _, path = asked_in(request_line)
    body = msgspec.json.encode(BODIES[api_of(path)](error))
    reason = http.RESPONSES.get(error.status, b"Error")
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers_of(error),
    }
    lines = [b"HTTP/1.1 %d %s" % (error.status, reason)]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
    return b"\r\n".join([*lines, b"", body])
