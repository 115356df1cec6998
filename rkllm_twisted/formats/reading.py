"""Reads a file from start to end in blocks, without the parts that the caller skips."""

from __future__ import annotations

import struct
from collections.abc import Callable

#: Reads at most ``length`` bytes at an offset in bytes: ``(offset, length)``; fewer at the end.
ReadAt = Callable[[int, int], bytes]

_BLOCK_BYTES = 1 << 18
_LENGTH = struct.Struct("<Q")


class EndsEarly(ValueError):
    """A file ends before what its header says."""


class Cursor:
    """A place in a file.

    :param read: reads the file.
    :param size: the size of the file in bytes.
    :param limit: the largest offset that the cursor reads up to, in bytes.
    """

    def __init__(self, read: ReadAt, size: int, limit: int) -> None:
        self._read = read
        self._size = size
        self._limit = limit
        self._block = b""
        self._start = 0
        self.at = 0

    def take(self, length: int) -> bytes:
        """Return the next bytes.

        :param length: in bytes; a length that a value of a header may have.
        :raises EndsEarly: the file has fewer bytes.
        :raises ValueError: the bytes lie beyond the limit.
        """
        end = self._checked(length)
        if not self._start <= self.at <= end <= self._start + len(self._block):
            self._block = self._read(self.at, max(length, _BLOCK_BYTES))
            self._start = self.at
            if len(self._block) < length:  # the file became shorter meanwhile
                raise EndsEarly(f"byte {self._start + len(self._block)}")
        taken = self._block[self.at - self._start : end - self._start]
        self.at = end
        return taken

    def skip(self, length: int) -> None:
        """Skip bytes. Raise the errors of :meth:`take`."""
        self.at = self._checked(length)

    def skip_texts(self, count: int) -> None:
        """Skip texts; each follows its length (u64). Raise the errors of :meth:`take`.

        Vocabularies have hundreds of thousands of texts, so those in the block need no call each.
        """
        while count:
            self.skip(self.number("Q"))
            count -= 1
            block, at = self._block, self.at - self._start
            last = len(block) - 8
            while count and at <= last:
                following = at + 8 + _LENGTH.unpack_from(block, at)[0]
                if following > len(block):
                    break
                at = following
                count -= 1
            self.at = max(self.at, self._start + at)

    def number(self, layout: str) -> int:
        """Return the next whole number, of a type of :mod:`struct` (little-endian)."""
        value: int = struct.unpack(f"<{layout}", self.take(struct.calcsize(layout)))[0]
        return value

    def _checked(self, length: int) -> int:
        end = self.at + length
        if end > self._size:
            raise EndsEarly(f"byte {self._size}")
        if end > self._limit:
            raise ValueError(f"its header is longer than {self._limit} bytes")
        return end
