"""Splits bytes into messages: newline-delimited JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rkllm_twisted.wire.framing import (
    MAX_LENGTH,
    FramingError,
    Kind,
    Netstrings,
    netstring,
    too_long,
)

#: The end of a message without a newline is searched for in so many bytes only: brackets are
#: counted in Python, which is slow.
MAX_UNTERMINATED_BYTES = 64 * 1024


def line(payload: bytes) -> bytes:
    """Frame a message as a line. JSON as this package writes it holds no newline."""
    return payload + b"\n"


_SPACE = re.compile(rb"[ \t\r]*")
#: How a line ends after which JSON over several lines goes on.
_GOES_ON = (b"{", b"[", b",", b":")
#: What stands between and after the members of such JSON.
_CLOSING = re.compile(rb"[\]},\s]*")
_OUTSIDE_STRING = re.compile(rb'["{}\[\]]')
_INSIDE_STRING = re.compile(rb'["\\]')
_DEPTH = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_QUOTE, _BACKSLASH = ord('"'), ord("\\")


class Lines:
    """Parses newline-delimited JSON, and JSON that no newline ends.

    A message ends at a newline, or, if it begins with a bracket, where its brackets close within
    its first :data:`MAX_UNTERMINATED_BYTES`: some clients send no newline. So values without a
    separator are several messages, however the bytes are split into reads. Blank lines and white
    space around a message mean nothing.

    A message that ends in ``{``, ``[``, a colon or a comma while its brackets are open is JSON over
    several lines. Its first line is returned, so that the client gets one error; the others are
    not, up to the next request that stands in one line. If that was a member of a batch over
    several lines, the comma after it and the brackets that close are not returned either.

    :param max_length: of a message, in bytes.
    """

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length
        self._is_continued = self._was_continued = False
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
        """Parse the bytes that were read.

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
        is_open = self._depth > 0 and not self._in_string and message.endswith(_GOES_ON)
        self.clear()
        if self._is_continued and (is_open or not _is_request(message)):
            return []
        if self._was_continued and _CLOSING.fullmatch(message):
            return []
        self._is_continued = is_open
        self._was_continued = self._was_continued or is_open
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
            message = bytes(self._buffer)
            self.clear()
            at = end
            if not self._is_continued or _is_request(message):
                self._is_continued = False
                messages.append(message)

    def _keep(self, text: bytes) -> None:
        if len(self._buffer) + len(text) > self._max_length:
            raise too_long(self._max_length)
        self._buffer += text

    def _end_of_value(self, text: bytes, at: int) -> int | None:
        """Return the place at which the brackets of the message close; None if they do not."""
        begun = bytes(self._buffer[:1]) or text[at : at + 1]
        if begun not in (b"{", b"["):
            return None
        stop = at + MAX_UNTERMINATED_BYTES - len(self._buffer)
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


def _is_request(message: bytes) -> bool:
    """Return whether a line looks like a whole message, not like part of one."""
    return message[:1] in (b"{", b"[") and b'"jsonrpc"' in message


#: Parses the messages of a connection, and frames one.
RECEIVERS: Mapping[Kind, type[Netstrings] | type[Lines]] = {
    Kind.NETSTRINGS: Netstrings,
    Kind.LINES: Lines,
}
FRAMES: Mapping[Kind, Callable[[bytes], bytes]] = {Kind.NETSTRINGS: netstring, Kind.LINES: line}
