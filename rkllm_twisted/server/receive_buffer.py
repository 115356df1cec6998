"""Bytes to messages for the server's end: a NetstringReceiver that speaks lines as well.

It parses a little at a time and only on demand, so that whoever asks for the messages decides how
many of them a turn of the reactor may take.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

from twisted.protocols.basic import NetstringReceiver

from rkllm_twisted.errors import RPCError
from rkllm_twisted.wire.framing import (
    FRAMES,
    FramingError,
    Kind,
    Lines,
    cut_netstrings,
    line,
    sniff,
    too_long,
)

#: Bytes that are parsed at once: a read of 64 KiB may hold 20,000 empty messages.
SLICE = 4096
#: A receive buffer above this size is given back after its message.
KEEP = 4096


class ReceiveBuffer(NetstringReceiver):
    """Takes messages from what was read. The first byte decides the framing for good.

    :param max_length: of a message, in bytes.
    :ivar frame: puts a message into the connection's framing; lines until that is known.
    :ivar broken: why nothing more can be understood, once that is so.
    :ivar input_ended: nothing more will be read.
    """

    transport: Any  # Twisted's interfaces tell the reading and the writing half apart

    def __init__(self, max_length: int) -> None:
        self.MAX_LENGTH = max_length
        self.frame: Callable[[bytes], bytes] = line
        self.broken: RPCError | None = None
        self.input_ended = False
        self._lines: Lines | None = None
        self._parse: Callable[[bytes], None] = self._choose_framing
        self._unparsed: deque[bytes] = deque()
        self._unparsed_size = 0
        self._messages: deque[bytes] = deque()
        self._messages_size = 0

    @property
    def held(self) -> int:
        """How many bytes came in and have not been taken."""
        held = self._unparsed_size + self._messages_size
        if self._lines is not None:
            return held + len(self._lines)
        return held + self._currentPayloadSize if self._state == self._PARSING_PAYLOAD else held

    def is_empty(self) -> bool:
        """Is nothing left of what came in, not even the beginning of a message?"""
        if self._messages or self._unparsed:
            return False
        if self._lines is not None:
            return not self._lines
        return self._state == self._PARSING_LENGTH and not self._remainingData

    def framing_chosen(self) -> None:
        """Be told that the first byte is there: :attr:`frame` is known now."""

    def put(self, data: bytes, now: bool = False) -> None:
        """Take what was read.

        :param now: parse it now, if that is little and nothing waits before it.
        """
        if len(data) > SLICE:
            self._unparsed.extend(data[i : i + SLICE] for i in range(0, len(data), SLICE))
            self._unparsed_size += len(data)
        elif now and not (self._messages or self._unparsed or self.broken):
            self._parse(data)
        else:
            self._unparsed.append(data)
            self._unparsed_size += len(data)

    def has_more(self) -> bool:
        """Is anything left to parse or to take?"""
        if self._messages or self.broken:
            return bool(self._messages)
        return bool(self._unparsed or (self.input_ended and self._lines))

    def has_message(self, may_go_on: Callable[[], bool] = lambda: True) -> bool:
        """Parse until a message is complete, and tell whether one is.

        :param may_go_on: asked after each slice; a message may be the work of many.
        """
        while self._unparsed and not self._messages and not self.broken:
            data = self._unparsed.popleft()
            self._unparsed_size -= len(data)
            self._parse(data)
            if not self._messages and not may_go_on():
                return False
        if self.input_ended and self._lines and not self._messages and not self.broken:
            self._add(self._lines.finish())
        return bool(self._messages)

    def take(self) -> bytes:
        """Give the next message."""
        message = self._messages.popleft()
        self._messages_size -= len(message)
        return message

    def discard(self) -> None:
        """Forget what is not taken yet."""
        self._messages.clear()
        self._unparsed.clear()
        self._messages_size = self._unparsed_size = self._currentPayloadSize = 0
        self._payload = BytesIO()
        if self._lines is not None:
            self._lines = Lines(self.MAX_LENGTH)

    def _add(self, messages: Sequence[bytes]) -> None:
        self._messages.extend(messages)
        self._messages_size += len(messages[0]) if len(messages) == 1 else sum(map(len, messages))

    def _choose_framing(self, data: bytes) -> None:
        try:
            kind = sniff(data)
        except FramingError as error:
            self.broken = error
        else:
            self.frame = FRAMES[kind]
            if kind is Kind.LINES:
                self._lines = Lines(self.MAX_LENGTH)
                self._parse = self._take_lines
            else:
                self._parse = self._take_netstrings
            self._parse(data)
        self.framing_chosen()

    def _take_netstrings(self, data: bytes) -> None:
        """Cut out what is whole, and leave to NetstringReceiver what is not, or is wrong."""
        rest = 0
        if self._state == self._PARSING_LENGTH and not self._remainingData:
            messages, rest = cut_netstrings(data, self.MAX_LENGTH)
            self._add(messages)
        if rest < len(data):
            super().dataReceived(data[rest:])

    def stringReceived(self, string: bytes) -> None:
        """Take a netstring's payload."""
        self._add([string])
        if len(string) > KEEP:
            # NetstringReceiver would keep it until the connection's next message.
            self._payload = BytesIO()

    def _handleParseError(self) -> None:
        """Remember what is wrong; NetstringReceiver would close before there is an answer."""
        self.brokenPeer = 1
        reason = str(sys.exc_info()[1])
        is_too_long = reason == self._TOO_LONG % (self.MAX_LENGTH,)
        self.broken = too_long(self.MAX_LENGTH) if is_too_long else FramingError(reason)

    def _take_lines(self, data: bytes) -> None:
        assert self._lines is not None
        try:
            self._add(self._lines.feed(data))
        except FramingError as error:
            self._add(error.messages)
            self.broken = error
