"""The messages that wait for a client to read them: bounded, and dropped with a client that stops.

A transport buffers whatever it gets, without a limit. So it gets no more than it can send, in
slices; each slice that the client takes shows that it still reads.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorTime, IWriteDescriptor
from zope.interface import implementer

from rkllm_twisted.rpc.deadline import Deadline
from rkllm_twisted.rpc.limits import Limits

#: In bytes: with more than this, Twisted's transports pause their producer.
WRITE_CHUNK = 64 * 1024
#: In bytes: the most that a transport holds when it has paused the outbox.
MAX_IN_TRANSPORT_BYTES = 2 * WRITE_CHUNK


@implementer(IPushProducer)
class Outbox:
    """The outgoing messages of one connection.

    :param crowded: called with True when more than half of ``max_unread`` waits, with False when
        it no longer does.
    :param drop: called with the reason to drop the client.
    :param on_held: called with the bytes that wait here, when they change.
    """

    def __init__(
        self,
        transport: Any,
        clock: IReactorTime,
        limits: Limits,
        crowded: Callable[[bool], None],
        drop: Callable[[str], None],
        on_held: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._limits = limits
        self._crowded = crowded
        self._drop = drop
        self._on_held = on_held
        #: Small messages are put together: tokens have more overhead than text.
        self._waiting: deque[bytearray | memoryview] = deque()
        #: Kept back for one write, between :meth:`gather` and :meth:`flush`.
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._is_gathering = False
        self._is_crowded = False
        self._held = 0
        self._passed_on = 0
        self._paused = False
        self._closed = False
        self._at_end: Callable[[], None] | None = None
        self._deadline: Deadline | None = None
        transport.registerProducer(self, True)

    def send(self, message: bytes) -> None:
        """Send a framed message after those before it. After :meth:`finish` it is lost."""
        if self._closed or self._at_end is not None:
            return
        if self._is_gathering and self._gathered_size + len(message) <= WRITE_CHUNK:
            self._gathered.append(message)
            self._gathered_size += len(message)
            return
        is_gathering = self._is_gathering
        self.flush()
        self._is_gathering = is_gathering
        self._take(message)

    def send_all(self, messages: list[bytes]) -> None:
        """Send framed messages, in one write if the client keeps up."""
        if self._is_gathering or self._closed or self._at_end is not None:
            for message in messages:
                self.send(message)
        elif len(messages) == 1:
            self._take(messages[0])
        else:
            for piece in _joined(messages):
                # The first one may have paused us: then each message is counted as it comes.
                if self._paused or self._waiting:
                    for message in piece:
                        self.send(message)
                else:
                    self._take(b"".join(piece))

    def gather(self) -> None:
        """Hold messages until :meth:`flush`, to write them together.

        This has no effect while the client is slow: then each message is counted as it comes.
        """
        self._is_gathering = not self._paused and not self._waiting

    def flush(self) -> None:
        """Write the messages that are held."""
        self._is_gathering = False
        if messages := self._gathered:
            self._gathered = []
            self._gathered_size = 0
            self._take(messages[0] if len(messages) == 1 else b"".join(messages))

    def _take(self, data: bytes) -> None:
        if self._waiting or self._paused or len(data) > WRITE_CHUNK:
            self._store(data)
            self._pass_on()
        else:
            self._passed_on += len(data)
            self._transport.write(data)
        if self._paused:
            self._look_again()
            self._tell()
            if self._is_too_much():
                self._give_up("it leaves too much unread")

    def _look_again(self) -> None:
        """Before a client is dropped, check whether it has read meanwhile.

        A fast runtime produces more in one turn of the reactor than a client may leave unread, and
        the reactor looks at its sockets between two turns only.
        """
        is_near = self._unread() > self._limits.max_unread // 2
        if is_near and IWriteDescriptor.providedBy(self._transport):
            self._transport.doWrite()

    def _store(self, message: bytes) -> None:
        self._held += len(message)
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, bytearray) and len(last) + len(message) <= WRITE_CHUNK:
            last += message
        else:
            fits = len(message) <= WRITE_CHUNK
            self._waiting.append(bytearray(message) if fits else memoryview(message))

    def _unread(self) -> int:
        """Return the number of bytes that the client may not have taken."""
        return self._held + (min(self._passed_on, MAX_IN_TRANSPORT_BYTES) if self._paused else 0)

    def _is_too_much(self) -> bool:
        """True beyond the limit. One long message may wait: it could never be sent otherwise."""
        limit = self._limits.max_unread
        if self._unread() <= limit or len(self._waiting) == 1:
            return False
        longest = max(
            (len(piece) for piece in self._waiting if len(piece) > WRITE_CHUNK), default=0
        )
        return self._unread() - longest > limit

    def _tell(self) -> None:
        is_crowded = self._unread() > self._limits.max_unread // 2
        if is_crowded != self._is_crowded:
            self._is_crowded = is_crowded
            self._crowded(is_crowded)
        self._on_held(self._held)

    def finish(self, at_end: Callable[[], None]) -> None:
        """Take no more messages; call ``at_end`` when the transport has all of them."""
        self.flush()
        self._at_end = at_end
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting and not self._paused:
            piece = self._waiting.popleft()
            if len(piece) > WRITE_CHUNK:
                self._waiting.appendleft(piece[WRITE_CHUNK:])
            data = bytes(piece[:WRITE_CHUNK])
            self._held -= len(data)
            self._passed_on += len(data)
            self._transport.write(data)
        self._tell()
        if self._at_end is not None and not self._waiting and not self._closed:
            self.stopProducing()
            self._transport.unregisterProducer()  # else loseConnection waits for us to write
            self._at_end()

    def pauseProducing(self) -> None:
        """Wait: the client reads more slowly than messages come."""
        self._paused = True
        if self._deadline is None and not self._closed:
            self._deadline = Deadline(self._clock, self._limits.unread_timeout, self._expired)

    def resumeProducing(self) -> None:
        """Go on: the client has read."""
        self._paused = False
        self._passed_on = 0
        self._forget_deadline()
        self._pass_on()

    def stopProducing(self) -> None:
        """Drop all messages: the connection has ended."""
        self._closed = True
        self._gathered.clear()
        self._waiting.clear()
        self._held = 0
        self._on_held(0)
        self._forget_deadline()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        if IWriteDescriptor.providedBy(self._transport):
            self._transport.doWrite()  # the reactor may not have seen yet that it reads
        if self._paused and not self._closed:
            self._give_up(f"it read nothing for {self._limits.unread_timeout:g} s")

    def _give_up(self, reason: str) -> None:
        self.stopProducing()
        self._drop(reason)


def _joined(messages: list[bytes]) -> Iterator[list[bytes]]:
    """Divide messages into pieces that are written together: as many as a write may have."""
    ends, at = list(accumulate(map(len, messages))), 0
    while at < len(messages):
        begin = ends[at - 1] if at else 0
        stop = max(at + 1, bisect_right(ends, begin + WRITE_CHUNK))
        yield messages[at:stop]
        at = stop
