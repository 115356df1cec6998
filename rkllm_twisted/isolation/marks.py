"""Marks the start of each call in what a child prints.

A library may print anything, and read all memory of its process. So each call has a word of its
own, made with a key that never leaves the daemon: until a call is sent, nothing prints its mark.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import blake2b

#: Begins a mark; ASCII's record separator, which is in no line of the runtime's.
MARK = b"\x1e"
#: The digits of the number of a call.
MAX_DIGITS = 18
_WORD_BYTES = 8
#: The longest mark, in bytes.
MAX_MARK_BYTES = len(MARK) + MAX_DIGITS + len(" ") + 2 * _WORD_BYTES


class CallMarks:
    """The marks of one child."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def of(self, call: int) -> bytes:
        """Return what the child writes to stdout and stderr at the start of a call."""
        return b"%b%d %b\n" % (MARK, call, self._word(b"%d" % call))

    def split(self, line: bytes) -> tuple[bytes, int | None]:
        """Divide a line into what was printed and the number of the call that begins after it.

        :param line: without its end.
        :returns: the number is None if the line does not end with a mark.
        """
        printed, mark, rest = line.rpartition(MARK)
        number, _, word = rest.partition(b" ")
        # Python's isdigit is ASCII's for bytes.
        if not mark or not number.isdigit() or len(number) > MAX_DIGITS:
            return line, None
        if not hmac.compare_digest(word, self._word(number)):
            return line, None
        return printed, int(number)

    def _word(self, number: bytes) -> bytes:
        made = blake2b(number, key=self._key, digest_size=_WORD_BYTES)
        return made.hexdigest().encode()
