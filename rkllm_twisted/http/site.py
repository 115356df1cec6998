"""The site: requests with bounded bodies, and a bounded number of connections."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import server
from twisted.web.resource import IResource

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.channel import ServiceChannel, asked_in
from rkllm_twisted.http.error_bodies import api_of
from rkllm_twisted.http.exchange import header_of
from rkllm_twisted.http.resource import ExchangeRecord, OnOver, log_exchange
from rkllm_twisted.http.trust import Trust

_log = Logger("rkllm.http")

#: So many bodies of the largest size may be held at once.
FULL_BODIES = 8


@attrs.frozen
class SiteLimits:
    """The limits of a site.

    :param body: bytes of a request's body.
    :param connections: connections that are open at once.
    :param idle_s: seconds after which an idle connection is closed.
    """

    body: int = 8 * 2**20
    connections: int = 512
    idle_s: float = 60.0


class LimitedRequest(server.Request):
    """A request whose body is refused before it is read, if it is too long or may not come.

    :ivar has_arrived: True once the whole request is here.
    """

    defaultContentType = b"application/json"

    channel: Any  # a ServiceChannel, and None once the connection is lost

    def __init__(self, channel: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self.has_arrived = False
        self.probe_bytes: bytes | None = None
        self._received = 0

    def gotLength(self, length: int | None) -> None:
        """Check all that can be known before the body."""
        self.content = io.BytesIO()
        try:
            self._check_hosts()
            if length == 0:
                return
            self.channel.site.check_before_body(partial(header_of, self), length)
        except HTTPError as error:
            self._refuse(error)

    def _check_hosts(self) -> None:
        """Refuse a request that a proxy and this service may take for different hosts."""
        if len(self.requestHeaders.getRawHeaders(b"host", [])) > 1:
            raise HTTPError(
                400, "The request has several headers Host; send one.", code="several_hosts"
            )

    def handleContentChunk(self, data: bytes) -> None:
        """Hold a part of the body."""
        if self.channel.is_refused:
            return
        try:
            self.channel.site.hold(self._received, len(data))
        except HTTPError as error:
            self._refuse(error)
            return
        self._received += len(data)
        super().handleContentChunk(data)

    def _refuse(self, error: HTTPError) -> None:
        self.requestHeaders.removeHeader(b"expect")  # else the body would be asked for
        self.release()
        self.content = io.BytesIO()
        self.channel.refuse(error)
        self.channel.site.refused(self.channel, error)

    def process(self) -> None:
        """Answer the request, which takes the body over."""
        self.has_arrived = True
        self.release()
        if not self.channel.is_refused:
            super().process()

    def write_now(self, data: bytes) -> None:
        """Write a part of the body, and with the first one the headers, even if it is empty."""
        if self.chunked and data and self.channel is not None:
            self.channel.write(b"%x\r\n%b\r\n" % (len(data), data))
            return
        self.write(data)
        if self.channel is not None:
            self.channel.flush()

    def release(self) -> None:
        """Hold no part of the body any more."""
        if self._received:
            self.channel.site.held -= self._received
            self._received = 0

    def probe(self, before_the_answer: bytes) -> None:
        """Write something that means nothing to the client.

        :param before_the_answer: what is written if nothing of the answer has been sent.
        """
        if self.startedWriting:
            if self.probe_bytes:
                self.write(self.probe_bytes)
        elif self.clientproto == b"HTTP/1.1":
            self.channel.write(before_the_answer)

    def connectionLost(self, reason: Any) -> None:
        """See :class:`server.Request`."""
        self.release()
        super().connectionLost(reason)


class ServiceSite(server.Site):
    """Serves a resource, within limits.

    :param trust: who may ask.
    :ivar held: bytes of bodies that are held now.
    :ivar on_refused: called with an :class:`ExchangeRecord` of each request that was refused before
        its body was read.
    """

    protocol = ServiceChannel  # type: ignore[assignment]  # Twisted's adds HTTP/2
    requestFactory = LimitedRequest
    noisy = False

    def __init__(
        self, resource: IResource, trust: Trust, reactor: Any, limits: SiteLimits | None = None
    ) -> None:
        self.limits = limits or SiteLimits()
        super().__init__(
            resource,
            reactor=reactor,
            timeout=self.limits.idle_s,
            parsePOSTFormSubmission=False,  # `curl -d` calls its JSON a form
        )
        self._trust = trust
        self._channels: set[ServiceChannel] = set()
        self._is_full = False
        self._empty: Deferred[None] | None = None
        self.held = 0
        self.on_refused: list[OnOver] = [log_exchange]

    def startFactory(self) -> None:
        """Open no access log of Twisted's: the service has its own."""

    def stopFactory(self) -> None:
        """See :meth:`startFactory`."""

    def log(self, request: Any) -> None:
        """See :meth:`startFactory`."""

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/2 is left to a proxy."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: Any) -> Any:
        """Make a connection, if there is room for one more."""
        if len(self._channels) >= self.limits.connections:
            if not self._is_full:
                count = len(self._channels)
                _log.warn("{count} connections are open: more are closed", count=count)
            self._is_full = True
            return None
        self._is_full = False
        channel: Any = super().buildProtocol(addr)
        self._channels.add(channel)
        return channel

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._channels)

    def left(self, channel: ServiceChannel) -> None:
        """Forget a connection that has ended."""
        self._channels.discard(channel)
        if not self._channels and self._empty is not None:
            self._empty.callback(None)
            self._empty = None

    def close_all(self, grace_s: float) -> Deferred[None]:
        """Close the connections: idle ones now, the others when they have been answered.

        :param grace_s: seconds after which the others are closed, too.
        :returns: a Deferred that fires when all are closed.
        """
        closed: Deferred[None] = Deferred()
        if not self._channels:
            closed.callback(None)
            return closed
        self._empty = closed
        for channel in list(self._channels):
            channel.persistent = False
            if not channel.requests:
                channel.transport.loseConnection()
        timer = self.reactor.callLater(grace_s, self._abort_all)

        def stop_timer(_: None) -> None:
            if timer.active():
                timer.cancel()

        return closed.addCallback(stop_timer)

    def _abort_all(self) -> None:
        for channel in list(self._channels):
            channel.transport.abortConnection()

    def getContentFile(self, length: int | None) -> io.BytesIO:
        """Hold bodies in memory; they are bounded."""
        return io.BytesIO()

    def check_before_body(self, header: Any, length: int | None) -> None:
        """Check a request before its body.

        :param length: of the body; None if it comes in chunks.
        :raises HTTPError: the body must not come.
        """
        if length is not None and length > self.limits.body:
            raise self._too_long()
        self._trust.check_source(header)
        self._trust.check_key(header)

    def refused(self, channel: ServiceChannel, error: HTTPError) -> None:
        """Note a request that was refused before its body was read."""
        method, path = asked_in(channel.request_line)
        client = getattr(channel.getPeer(), "host", None) or "local"
        record = ExchangeRecord(client, method, path, "", api_of(path), error.status)
        for on_refused in self.on_refused:
            on_refused(record)

    def hold(self, before: int, more: int) -> None:
        """Count bytes of a body.

        :raises HTTPError: they are too many, of this body or of all.
        """
        if before + more > self.limits.body:
            raise self._too_long()
        if self.held + more > FULL_BODIES * self.limits.body:
            raise HTTPError(
                503,
                "Other clients send large requests now; try again later.",
                "server_error",
                "overloaded",
                retry_after=2,
                should_retry=True,
            )
        self.held += more

    def _too_long(self) -> HTTPError:
        return HTTPError(
            413,
            f"The request's body is longer than {self.limits.body} bytes, the limit of --max-body.",
            code="body_too_large",
            should_retry=False,
        )
