"""Splits bytes into netstrings, and detects the framing of a connection.

Pure: bytes in, messages out. Both framings have the method ``feed``, and return the same messages
however the bytes are split into reads.

A framing keeps only the message that is not complete yet. The time for a message is linear in its
length, even if it comes byte by byte, and the memory of a large message is freed.
"""

from __future__ import annotations

import re
from enum import Enum

from rkllm_twisted.errors import InvalidRequest, ParseError

#: 64 MiB: room for the embeddings of a long prompt as JSON. Refused before it is buffered.
MAX_LENGTH = 64 * 1024 * 1024


class FramingError(ParseError):
    """The bytes are no frames; nothing that follows on this connection can be understood.

    :ivar messages: the complete messages that stood before the damage.
    """

    messages: tuple[bytes, ...] = ()


class TooLong(FramingError):
    """A message is longer than the receiver takes."""

    code = InvalidRequest.code


_HTTP = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE|PRI) ")
_ZERO, _COMMA = b"0,"
#: Of a length: more than any limit has.
MAX_LENGTH_DIGITS = 20


class HTTPRequest(FramingError):
    """The client speaks HTTP."""

    def response(self) -> bytes:
        """Return a complete HTTP response that says so."""
        body = f"{self.message}\n".encode()
        return (
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
        )


class Kind(Enum):
    """The framing of a connection."""

    NETSTRINGS = "netstrings"
    LINES = "lines"


def sniff(data: bytes) -> Kind:
    """Detect the framing of a connection from its first byte.

    :param data: what came first; one byte is enough.
    :raises HTTPRequest: the bytes begin an HTTP request.
    :raises FramingError: it begins neither a netstring nor JSON.
    """
    first = data[:1]
    if first.isdigit():
        return Kind.NETSTRINGS
    if first in (b"{", b"[", b" ", b"\t", b"\r", b"\n"):
        return Kind.LINES
    if _HTTP.match(data):
        raise HTTPRequest(
            "This socket speaks JSON-RPC 2.0, not HTTP: send a JSON object in a line of its own."
        )
    raise FramingError("Send netstrings, or JSON objects one per line; this is neither.")


def netstring(payload: bytes) -> bytes:
    """Frame a message as a netstring."""
    return b"%d:%b," % (len(payload), payload)


def too_long(max_length: int) -> TooLong:
    """Make the error for a message beyond the limit."""
    return TooLong(
        f"A message may have {max_length} bytes; send less at once.", {"max_length": max_length}
    )


def cut_netstrings(data: bytes, max_length: int) -> tuple[list[bytes], int]:
    """Cut whole netstrings off the front of what was read.

    It stops before a netstring that is incomplete, wrong or too long, and raises nothing.

    :param max_length: of a payload, in bytes.
    :returns: the payloads, and where the rest begins.
    """
    found: list[bytes] = []
    size, at = len(data), 0
    header, length = b"", 0
    while at < size:
        if not header or not data.startswith(header, at):  # many are as long as the one before
            colon = data.find(b":", at, at + MAX_LENGTH_DIGITS + 1)
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
    """Parses netstrings: ``<length>:<payload>,`` without leading zeros.

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
        """End the input: an incomplete netstring is no message."""
        self.clear()
        return []

    def feed(self, data: bytes) -> list[bytes]:
        """Parse the bytes that were read.

        :returns: the messages that are complete now.
        :raises FramingError: the peer does not send netstrings, or one that is too long.
        """
        messages: list[bytes] = []
        if len(self._buffer) <= len(data):  # a longer message would be copied each time
            if self._buffer:
                data = bytes(self._buffer) + data
                self._buffer.clear()
            messages, whole = cut_netstrings(data, self._max_length)
            if whole == len(data):
                return messages
            data = data[whole:]
        self._buffer += data
        start = 0
        try:
            while (span := self._next(start)) is not None:
                with memoryview(
                    self._buffer
                ) as view:  # a slice of the buffer would be another copy
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
