"""Answers in pieces: server-sent events, and lines of JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.error_bodies import BODIES

#: Proxies and clients give up a silent stream after about a minute.
KEEP_ALIVE_S = 10.0
#: The seconds after which a client that does not read is dropped.
UNREAD_S = 30.0
#: Bytes that are written before it is seen whether the client reads.
MOST_AT_ONCE = 32 * 1024

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Framing:
    """The separators of a stream's pieces.

    :param comment: keeps the connection alive and means nothing; empty if there is no such thing.
    :param probe: what may be written at any time to see whether the client is there.
    """

    content_type: str
    before: bytes
    after: bytes
    comment: bytes
    probe: bytes


EVENTS = Framing("text/event-stream", b"data: ", b"\n\n", b": keep-alive\n\n", b": \n\n")
LINES = Framing("application/x-ndjson", b"", b"\n", b"", b" ")


@implementer(IPushProducer)
class Stream:
    """One answer in pieces.

    Nothing is sent before the first piece, so that an error until then still has its HTTP status;
    but after some seconds of waiting the headers and a comment go out, before proxies give up.
    While the client does not read, pieces wait, and :meth:`send` with them. A client that reads
    nothing for :data:`UNREAD_S` is dropped.

    :param api: the form of an error amid the stream.
    """

    def __init__(self, request: Any, clock: Any, framing: Framing, api: str) -> None:
        self._request = request
        self._clock = clock
        self._framing = framing
        self._api = api
        self._resumed: Deferred[None] | None = None
        self._is_paused = False
        self._is_over = False
        self._unread: Any = None
        self._waiting: deque[bytes] = deque()
        self._is_writing = False
        self._has_written = False  # since the timer of comments was started
        #: The site of an application of its own sends in the reactor's next turn.
        self._write_now: Callable[[bytes], object] = getattr(request, "write_now", request.write)
        request.probe_bytes = framing.probe
        request.setHeader("Content-Type", framing.content_type)
        request.setHeader("Cache-Control", "no-cache")
        request.setHeader("X-Accel-Buffering", "no")  # else nginx collects the pieces
        request.registerProducer(self, True)
        self._keep_alive = clock.callLater(KEEP_ALIVE_S, self._send_comment)

    @property
    def has_begun(self) -> bool:
        """True if the status has been sent."""
        return bool(self._request.startedWriting)

    async def send(self, value: object, event: str = "") -> None:
        """Send a piece, and wait until the client reads.

        :param value: a JSON value, or bytes that are sent as they are.
        :param event: the name of a server-sent event; empty for none.
        """
        self._waiting.append(self._framed(value, event))
        await self._until_read()

    async def send_all(self, values: Iterable[Any], has_names: bool = False) -> None:
        """Send pieces, several in one write, and wait until the client reads; see :meth:`push`."""
        self.push(values, has_names)
        await self._until_read()

    def push(self, values: Iterable[Any], has_names: bool = False) -> None:
        """Send pieces, several in one write; what the client does not read yet waits here.

        :param values: as for :meth:`send`.
        :param has_names: True if each event is named by its ``type``.
        """
        if not self._is_over:
            for value in values:
                self._waiting.append(self._framed(value, value["type"] if has_names else ""))
            self._pass_on()

    async def _until_read(self) -> None:
        self._pass_on()
        while self._waiting and not self._is_over:
            self._resumed = Deferred()
            await self._resumed

    def _pass_on(self) -> None:
        """Write what waits. After each write it is seen whether the client reads."""
        waiting = self._waiting
        while waiting and not (self._is_paused or self._is_over or self._is_writing):
            now = waiting.popleft()
            if waiting and len(now) < MOST_AT_ONCE:
                now = self._joined(now)
            self._is_writing = True  # a write may find that the client reads, and come back here
            self._write_now(now)
            self._is_writing = False
            self._has_written = True

    def _joined(self, first: bytes) -> bytes:
        """Return what goes out in one write."""
        pieces, size = [first], len(first)
        while self._waiting and size < MOST_AT_ONCE:
            pieces.append(self._waiting.popleft())
            size += len(pieces[-1])
        return b"".join(pieces)

    def write(self, value: object, event: str = "") -> None:
        """Send a piece without waiting for the client, behind what waits."""
        data = b"".join([*self._waiting, self._framed(value, event)])
        self._waiting.clear()
        self._write(data)

    def _framed(self, value: object, event: str) -> bytes:
        data = value if isinstance(value, bytes) else _encode(value)
        framed = self._framing.before + data + self._framing.after
        return f"event: {event}\n".encode() + framed if event else framed

    def fail(self, error: HTTPError) -> None:
        """Send an error amid the stream, as the last piece."""
        self.write(BODIES[self._api](error), "error" if self._api == "anthropic" else "")

    def end(self) -> None:
        """Send nothing more. Idempotent."""
        if not self._is_over:
            self._is_over = True
            self._waiting.clear()
            self._stop_timers()
            self._request.unregisterProducer()

    def _write(self, data: bytes) -> None:
        if not self._is_over:
            self._write_now(data)
            self._has_written = True

    def _send_comment(self) -> None:
        self._keep_alive = self._clock.callLater(KEEP_ALIVE_S, self._send_comment)
        if not (self._is_paused or self._has_written):
            self._write_now(self._framing.comment)
        self._has_written = False

    # The client's pace

    def pauseProducing(self) -> None:
        """The client does not read."""
        self._is_paused = True
        if self._unread is None:
            self._unread = self._clock.callLater(UNREAD_S, self._drop)

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._is_paused = False
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._pass_on()
        if not self._waiting:
            self._wake()

    def stopProducing(self) -> None:
        """The client has left."""
        self._is_over = True
        self._waiting.clear()
        self._stop_timers()
        self._wake()

    def _wake(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.called:
            resumed.callback(None)

    def _drop(self) -> None:
        self._unread = None
        self._request.transport.abortConnection()

    def _stop_timers(self) -> None:
        for timer in (self._keep_alive, self._unread):
            if timer is not None and timer.active():
                timer.cancel()
