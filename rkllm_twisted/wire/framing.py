"""Splits bytes into messages: netstrings and newline-delimited JSON.

Pure: bytes in, messages out. Both framings have the same one verb, ``feed``, and cut the same
bytes into the same messages however the bytes are split over the reads.

Strategy: a framing keeps only the message that is not complete yet. What a message costs is linear
in its length also when it comes byte by byte, and a big one's buffer is given back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum

from rkllm_twisted.errors import InvalidRequest, ParseError

#: 64 MiB: room for the embeddings of a long prompt as JSON. Refused before it is buffered.
MAX_LENGTH = 64 * 1024 * 1024
#: A message that no newline ends is looked for in so many bytes only: counting brackets is the one
#: part of framing that runs at the speed of Python.
MAX_UNTERMINATED = 64 * 1024


class FramingError(ParseError):
    """The bytes are no frames; nothing that follows on this connection can be understood.

    :ivar messages: the complete messages that stood before the damage.
    """

    messages: tuple[bytes, ...] = ()


class TooLong(FramingError):
    """A message is longer than the receiver takes."""

    code = InvalidRequest.code


class Kind(Enum):
    """The framing of a connection."""

    NETSTRINGS = "netstrings"
    LINES = "lines"


def sniff(data: bytes) -> Kind:
    """Tell the framing of a connection from its first byte.

    :param data: what came first; one byte is enough.
    :raises FramingError: it begins neither a netstring nor JSON.
    """
    first = data[:1]
    if first.isdigit():
        return Kind.NETSTRINGS
    if first in (b"{", b"[", b" ", b"\t", b"\r", b"\n"):
        return Kind.LINES
    raise FramingError("Send netstrings, or JSON objects one per line; this is neither.")


_ZERO, _COMMA = b"0,"
#: Of a length: more than any limit has.
MOST_DIGITS = 20


def netstring(payload: bytes) -> bytes:
    """Frame a message as a netstring."""
    return b"%d:%b," % (len(payload), payload)


def line(payload: bytes) -> bytes:
    """Frame a message as a line. JSON as this package writes it holds no newline."""
    return payload + b"\n"


def too_long(max_length: int) -> TooLong:
    """Make the error for a message beyond the limit."""
    return TooLong(
        f"A message may have {max_length} bytes; send less at once.", {"max_length": max_length}
    )


def cut_netstrings(data: bytes, max_length: int) -> tuple[list[bytes], int]:
    """Cut whole netstrings off the front of what was read.

    Stops before anything that is incomplete, wrong or too long, without a word.

    :param max_length: of a payload, in bytes.
    :returns: the payloads, and where the rest begins.
    """
    found: list[bytes] = []
    size, at = len(data), 0
    header, length = b"", 0
    while at < size:
        if not header or not data.startswith(header, at):  # many are as long as the one before
            colon = data.find(b":", at, at + MOST_DIGITS + 1)
            digits = data[at:colon] if colon > at else b""
            if not digits.isdigit() or (digits[0] == _ZERO and len(digits) > 1):
                break
            header, length = data[at : colon + 1], int(digits)
            if length > max_length:
                break
        begin = at + len(header)
        at = begin + length
        if at >= size or data[at] != _COMMA:
            at = begin - len(header)
            break
        found.append(data[begin:at])
        at += 1
    return found, at


class Netstrings:
    """Takes netstrings apart: ``<length>:<payload>,`` without leading zeros.

    :param max_length: of a payload, in bytes.
    """

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length
        self._buffer = bytearray()

    def __len__(self) -> int:
        """Return how many bytes there are of the message that has begun."""
        return len(self._buffer)

    def clear(self) -> None:
        """Forget the message that has begun."""
        self._buffer = bytearray()

    def finish(self) -> list[bytes]:
        """The connection has ended: half a netstring is no message."""
        self.clear()
        return []

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read.

        :returns: the messages that are complete now.
        :raises FramingError: the peer does not send netstrings, or one that is too long.
        """
        messages: list[bytes] = []
        if not self._buffer:
            messages, whole = cut_netstrings(data, self._max_length)
            if whole == len(data):
                return messages
            data = data[whole:]
        self._buffer += data
        start = 0
        try:
            while (span := self._next(start)) is not None:
                with memoryview(self._buffer) as view:  # a slice of the buffer would be a copy more
                    messages.append(bytes(view[span[0] : span[1]]))
                start = span[1] + 1
        except FramingError as error:
            self.clear()
            error.messages = tuple(messages)
            raise
        del self._buffer[:start]  # and with it the memory
        return messages

    def _next(self, start: int) -> tuple[int, int] | None:
        """Return the place of the payload of the netstring at a position, if it is complete."""
        most_digits = len(str(self._max_length))
        header = bytes(self._buffer[start : start + most_digits + 1])
        digits, colon, _ = header.partition(b":")
        if not header:
            return None
        if not digits.isdigit() or (digits[:1] == b"0" and len(digits) > 1):
            raise FramingError("A netstring begins with its length in digits and a colon.")
        if len(digits) > most_digits or int(digits) > self._max_length:
            raise too_long(self._max_length)
        begin = start + len(digits) + 1
        end = begin + int(digits)
        if not colon or len(self._buffer) <= end:
            return None
        if self._buffer[end] != ord(","):
            raise FramingError("A netstring ends with a comma; the length in front of it is wrong.")
        return begin, end


_SPACE = re.compile(rb"[ \t\r]*")
_OUTSIDE_STRING = re.compile(rb'["{}\[\]]')
_INSIDE_STRING = re.compile(rb'["\\]')
_DEPTH = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_QUOTE, _BACKSLASH = ord('"'), ord("\\")


class Lines:
    """Takes newline-delimited JSON apart, and JSON that no newline ends.

    A message ends at a newline, or, if it begins with a bracket, where its brackets close within
    its first :data:`MAX_UNTERMINATED` bytes: there are clients that send no newline. So values
    that are glued together are several messages, wherever the reads happen to cut them. Blank
    lines and white space around a message mean nothing.

    :param max_length: of a message, in bytes.
    """

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length
        self.clear()

    def clear(self) -> None:
        """Forget the message that has begun; the next one is parsed from its first byte."""
        self._buffer = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def __len__(self) -> int:
        """Return how many bytes there are of the message that has begun."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read.

        :returns: the messages that are complete now.
        :raises TooLong: a message is longer than the limit.
        """
        messages: list[bytes] = []
        if not self._buffer:
            data = data.lstrip(b" \t\r\n")  # thousands of blank lines cost as much as one
        *ended, rest = data.split(b"\n")
        try:
            for text in ended:
                self._take(text, messages)
                messages += self.finish()
            self._take(rest, messages)
        except FramingError as error:
            self.clear()
            error.messages = tuple(messages)
            raise
        return messages

    def finish(self) -> list[bytes]:
        """End the message that has begun, as a newline or the end of the connection does."""
        if not self._buffer:
            return []
        message = bytes(self._buffer).rstrip(b" \t\r")
        self.clear()
        return [message]

    def _take(self, text: bytes, messages: list[bytes]) -> None:
        """Take bytes that hold no newline."""
        at = 0
        while True:
            if not self._buffer:
                at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it always matches
            if at >= len(text):
                return
            end = self._end_of_value(text, at)
            self._keep(text[at:end])
            if end is None:
                return
            messages.append(bytes(self._buffer))
            self.clear()
            at = end

    def _keep(self, text: bytes) -> None:
        if len(self._buffer) + len(text) > self._max_length:
            raise too_long(self._max_length)
        self._buffer += text

    def _end_of_value(self, text: bytes, at: int) -> int | None:
        """Return the place at which the brackets of the message close; None if they do not."""
        begun = bytes(self._buffer[:1]) or text[at : at + 1]
        if begun not in (b"{", b"["):
            return None
        stop = at + MAX_UNTERMINATED - len(self._buffer)
        if self._escaped:
            self._escaped = False
            at += 1
        while found := (_INSIDE_STRING if self._in_string else _OUTSIDE_STRING).search(
            text, at, max(at, stop)
        ):
            at = found.end()
            mark = text[at - 1]
            if mark == _QUOTE:
                self._in_string = not self._in_string
            elif mark == _BACKSLASH:
                self._escaped = at == len(text)
                at += 1
            else:
                self._depth += _DEPTH[mark]
                if self._depth == 0:
                    return at
        return None


#: What takes the messages of a connection apart, and what puts one together.
RECEIVERS: Mapping[Kind, type[Netstrings] | type[Lines]] = {
    Kind.NETSTRINGS: Netstrings,
    Kind.LINES: Lines,
}
FRAMES: Mapping[Kind, Callable[[bytes], bytes]] = {Kind.NETSTRINGS: netstring, Kind.LINES: line}
