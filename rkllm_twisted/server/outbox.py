"""What waits to be read by a client: bounded, and given up when the client does not read.

A transport takes whatever it is given and buffers it without end. So it is given no more than it
can pass on, in slices; each slice that the client takes shows that it is still reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from rkllm_twisted.rpc.limits import Limits

#: The size at which Twisted's transports say that they have enough.
SLICE = 64 * 1024
#: What a transport holds at most when it has said so: all but that much, and one slice more.
IN_TRANSPORT = 2 * SLICE


@implementer(IPushProducer)
class Outbox:
    """The way out of one connection.

    :param crowded: told True when half of ``max_unread`` waits, False when it no longer does.
    :param drop: called with the reason when the client is to be given up.
    """

    def __init__(
        self,
        transport: Any,
        clock: IReactorTime,
        limits: Limits,
        crowded: Callable[[bool], None],
        drop: Callable[[str], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._limits = limits
        self._crowded = crowded
        self._drop = drop
        #: Small messages are put together: tokens have more overhead than text.
        self._waiting: deque[bytearray | memoryview] = deque()
        self._held = 0
        self._passed_on = 0
        self._paused = False
        self._closed = False
        self._at_end: Callable[[], None] | None = None
        self._deadline: IDelayedCall | None = None
        transport.registerProducer(self, True)

    def send(self, message: bytes) -> None:
        """Send a framed message when its turn comes; nothing any more after :meth:`finish`."""
        if self._closed or self._at_end is not None:
            return
        self._store(message)
        self._pass_on()
        if self._is_too_much():
            self._give_up("it leaves too much unread")

    def _store(self, message: bytes) -> None:
        self._held += len(message)
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, bytearray) and len(last) + len(message) <= SLICE:
            last += message
        else:
            fits = len(message) <= SLICE
            self._waiting.append(bytearray(message) if fits else memoryview(message))

    def _unread(self) -> int:
        """How many bytes the client may not have taken."""
        return self._held + (min(self._passed_on, IN_TRANSPORT) if self._paused else 0)

    def _is_too_much(self) -> bool:
        """Beyond the limit only one long message may wait: it could never be read otherwise."""
        limit = self._limits.max_unread
        if self._unread() <= limit or len(self._waiting) == 1:
            return False
        longest = max((len(piece) for piece in self._waiting if len(piece) > SLICE), default=0)
        return self._unread() - longest > limit

    def finish(self, at_end: Callable[[], None]) -> None:
        """Take nothing more, and call back when everything is with the transport."""
        self._at_end = at_end
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting and not self._paused:
            piece = self._waiting.popleft()
            if len(piece) > SLICE:
                self._waiting.appendleft(piece[SLICE:])
            data = bytes(piece[:SLICE])
            self._held -= len(data)
            self._passed_on += len(data)
            self._transport.write(data)
        self._crowded(self._unread() > self._limits.max_unread // 2)
        if self._at_end is not None and not self._waiting and not self._closed:
            self.stopProducing()
            self._transport.unregisterProducer()  # else loseConnection waits for us to write
            self._at_end()

    def pauseProducing(self) -> None:
        """Wait: the client does not read as fast as it is sent to."""
        self._paused = True
        if self._deadline is None and not self._closed:
            self._deadline = self._clock.callLater(self._limits.unread_timeout, self._expired)

    def resumeProducing(self) -> None:
        """Go on: the client has read."""
        self._paused = False
        self._passed_on = 0
        self._forget_deadline()
        self._pass_on()

    def stopProducing(self) -> None:
        """Forget everything: nobody will read it."""
        self._closed = True
        self._waiting.clear()
        self._held = 0
        self._forget_deadline()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        self._give_up(f"it read nothing for {self._limits.unread_timeout:g} s")

    def _give_up(self, reason: str) -> None:
        self.stopProducing()
        self._drop(reason)
