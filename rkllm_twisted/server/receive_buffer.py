"""Bytes to messages for the server's end of a connection, a little at a time and only on demand.

So the code that takes the messages decides how much of them a turn of the reactor may cost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from rkllm_twisted.errors import RPCError, TimedOut
from rkllm_twisted.wire import jsonrpc
from rkllm_twisted.wire.framing import FramingError, HTTPRequest, Netstrings, sniff
from rkllm_twisted.wire.lines import FRAMES, RECEIVERS, Lines, line

#: Bytes that are parsed at once: a read of 64 KiB may hold 20,000 empty messages.
PARSE_CHUNK = 4096


class ReceiveBuffer:
    """Parses what was read into messages. The first byte decides the framing.

    :param max_length: of a message, in bytes.
    :ivar frame: puts a message into the connection's framing; lines until that is known.
    :ivar broken: the error after which nothing more can be parsed, or None.
    :ivar input_ended: True if nothing more will be read.
    """

    def __init__(self, max_length: int) -> None:
        self.frame: Callable[[bytes], bytes] = line
        self.broken: RPCError | None = None
        self.input_ended = False
        self._max_length = max_length
        self._receiver: Netstrings | Lines | None = None
        self._unparsed: deque[bytes] = deque()
        self._unparsed_size = 0
        self._messages: deque[bytes] = deque()
        self._messages_size = 0

    @property
    def held(self) -> int:
        """The number of bytes that came in and have not been taken."""
        return self._unparsed_size + self._messages_size + len(self._receiver or b"")

    def is_empty(self) -> bool:
        """True if nothing is left of what came in, not even the beginning of a message."""
        return not (self._messages or self._unparsed or self._receiver)

    def has_begun(self) -> bool:
        """Return whether the last bytes are the beginning of a message."""
        return bool(self._receiver) and not (self._messages or self._unparsed or self.broken)

    def put(self, data: bytes, now: bool = False) -> None:
        """Add the bytes that were read.

        :param now: parse it now, if it is short and nothing waits before it.
        """
        if len(data) > PARSE_CHUNK:
            self._unparsed.extend(
                data[i : i + PARSE_CHUNK] for i in range(0, len(data), PARSE_CHUNK)
            )
            self._unparsed_size += len(data)
        elif now and not (self._messages or self._unparsed or self.broken):
            self._parse(data)
        else:
            self._unparsed.append(data)
            self._unparsed_size += len(data)

    def has_more(self) -> bool:
        """True if anything is left to parse or to take."""
        if self._messages or self.broken:
            return bool(self._messages)
        return bool(self._unparsed or (self.input_ended and self._receiver))

    def has_message(self, may_go_on: Callable[[], bool] = lambda: True) -> bool:
        """Parse until a message is complete. True if one is.

        :param may_go_on: asked after each chunk; a message may have many.
        """
        while self._unparsed and not self._messages and not self.broken:
            data = self._unparsed.popleft()
            self._unparsed_size -= len(data)
            self._parse(data)
            if not self._messages and not may_go_on():
                return False
        if self.input_ended and self._receiver and not self._messages and not self.broken:
            self._add(self._receiver.finish())
        return bool(self._messages)

    def take(self) -> bytes:
        """Return the next message."""
        message = self._messages.popleft()
        self._messages_size -= len(message)
        return message

    def fail(self, error: RPCError) -> None:
        """Drop the input, and parse nothing more, for this reason."""
        self.discard()
        self.broken = error

    def last_message(self) -> bytes:
        """Return what a client gets, framed, before its broken connection is closed."""
        assert self.broken is not None
        if isinstance(self.broken, HTTPRequest):
            return self.broken.response()
        return self.frame(jsonrpc.error(None, self.broken))

    def discard(self) -> None:
        """Drop the messages that were not taken."""
        self._messages.clear()
        self._unparsed.clear()
        self._messages_size = self._unparsed_size = 0
        if self._receiver is not None:
            self._receiver.clear()

    def choose_framing(self, data: bytes) -> Netstrings | Lines:
        """Choose the framing by the first byte: :attr:`frame` is known then.

        :raises FramingError: it begins neither a netstring nor JSON.
        """
        kind = sniff(data)
        self.frame = FRAMES[kind]
        receiver = self._receiver = RECEIVERS[kind](self._max_length)
        return receiver

    def _parse(self, data: bytes) -> None:
        receiver = self._receiver
        try:
            # "is None": one without the beginning of a message is false
            receiver = self.choose_framing(data) if receiver is None else receiver
            self._add(receiver.feed(data))
        except FramingError as error:
            self._add(error.messages)
            self.broken = error

    def _add(self, messages: Sequence[bytes]) -> None:
        self._messages.extend(messages)
        self._messages_size += len(messages[0]) if len(messages) == 1 else sum(map(len, messages))


def too_slow(limit: float) -> TimedOut:
    """Make the error for a message that was not complete in time."""
    return TimedOut(
        f"A message must be complete {limit:g} s after its first byte; send it at once.",
        {"message_timeout": limit},
    )
