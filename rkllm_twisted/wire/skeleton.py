"""A JSON text without the insides of its long strings: all of the structure, little of the bulk.

Arrays of floats travel as base64, one string of tens of megabytes. What looks at the structure of
a message need not read that again and again.
"""

from __future__ import annotations

import re

#: A string is long from twice this size on, and may be from this size on.
STEP = 64 * 1024
#: A message up to this size is read at once, in about 25 ms at worst.
LIGHT = 256 * 1024
#: So is one up to this size that consists of long strings, such as floats as base64.
BULKY = 8 * 1024 * 1024
#: What a stretch outside strings never begins with: after a string comes one of ``,:]}`` or space.
_IN_STRING = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_COLON = re.compile(rb"[ \t\r\n]*:")


def without_long_strings(text: bytes) -> bytes:
    """Leave out what is surely the inside of a string that is no member's name.

    Brackets, quotes that begin and end strings, and names of members are all still there, in their
    order. Searches with ``find`` only, which runs at the speed of memory.

    :param text: valid JSON.
    """
    kept: list[bytes] = []
    done, at = 0, STEP
    while at < len(text) and (end := text.find(b'"', at)) >= 0:
        begin = text.rfind(b'"', done, at) + 1
        if begin and end - begin >= STEP and _is_inside(text, begin, end):
            kept.append(text[done:begin])
            done = end
        at = end + STEP
    return b"".join((*kept, text[done:])) if kept else text


def is_heavy(payload: bytes) -> bool:
    """Would reading it keep the reactor from everybody else for long?"""
    if len(payload) <= LIGHT:
        return False
    return len(payload) > BULKY or len(without_long_strings(payload)) > LIGHT


def _is_inside(text: bytes, begin: int, end: int) -> bool:
    """Say whether what is between two quotes is surely in one string, without escapes."""
    if text[begin] not in _IN_STRING or text.find(b"\\", begin, end) >= 0:
        return False
    return _COLON.match(text, end + 1) is None
