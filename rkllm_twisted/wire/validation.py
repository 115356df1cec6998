"""Checks a JSON text beyond its grammar, before any code acts on it.

A parser that takes the last of two members with one name lets a filter see another method than the
one that runs; deep nesting and swarms of empty containers cost 20 times their length in memory.
Each check costs about as much as reading the text once.
"""

from __future__ import annotations

import codecs
import json
import re

#: The reply to a batch is held until its last member is done.
MAX_BATCH = 100
#: Bytes of an id as it came. It is kept while the request is under way, and sent back each time.
MAX_ID_BYTES = 256
#: Deep enough for any tool description; beyond it every recursive walk becomes a risk.
MAX_DEPTH = 64
#: 64 MiB of ``[],`` would be 1.6 GB of lists.
MAX_CONTAINERS = 100_000
#: Python searches the names among them one by one.
MAX_STRINGS = 200_000
#: Text is decoded in such pieces: one emoji makes the decoded text four times as long.
_DECODE_CHUNK_BYTES = 1024 * 1024

#: A string is long from twice this size on, and may be from this size on.
LONG_STRING_BYTES = 64 * 1024
#: A message up to this size is read at once, in about 25 ms at worst.
LIGHT_MESSAGE_BYTES = 256 * 1024
#: So is one up to this size that consists of long strings, such as floats as base64.
BULKY_MESSAGE_BYTES = 8 * 1024 * 1024
#: What a stretch outside strings never begins with: after a string comes one of ``,:]}`` or space.
_IN_STRING = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_COLON = re.compile(rb"[ \t\r\n]*:")
#: Removed first, which is fast: most of a large message consists of these.
_NUMBERS_AND_SPACE = b"0123456789.,+- \t\r\n"
_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    rb"|.)",
    re.DOTALL,
)


def is_utf8(text: bytes) -> bool:
    """True if bytes are UTF-8, which has no surrogates."""
    if text.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(text), _DECODE_CHUNK_BYTES):
            decoder.decode(text[at : at + _DECODE_CHUNK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def too_large(text: bytes) -> str | None:
    """Return the limit that a JSON text exceeds, as a sentence; None if there is none.

    :param text: valid JSON.
    """
    if text.count(b'"') > 2 * MAX_STRINGS:
        return f"It holds more than {MAX_STRINGS} strings."
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return None
    outside = _split_at_quotes(text.translate(None, _NUMBERS_AND_SPACE))[::2]
    brackets = b"".join(outside).translate(_ONE_KIND, _NO_BRACKETS)
    if len(brackets) > 2 * MAX_CONTAINERS:
        return f"It holds more than {MAX_CONTAINERS} arrays and objects."
    for _ in range(MAX_DEPTH):  # every round takes the innermost level away
        brackets = brackets.replace(b"[]", b"")
    return f"It is nested deeper than {MAX_DEPTH} levels." if brackets else None


def _split_at_quotes(text: bytes) -> list[bytes]:
    """Split valid JSON at its quotes, into parts outside and inside strings, in turns.

    Escaped backslashes and quotes are missing from the strings. A regular expression would keep
    its state for each escape: gigabytes for a long text of newlines.
    """
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    return text.split(b'"')


def repeated_member(text: bytes) -> str | None:
    """Return the name of a member that one object has twice; None if there is none.

    :param text: valid JSON, nested no deeper than :data:`MAX_DEPTH`.
    """
    parts = _split_at_quotes(text)
    names = [
        name for name, after in zip(parts[1::2], parts[2::2], strict=True) if _COLON.match(after)
    ]
    if len(set(names)) == len(names) and not any(b"\\" in name for name in names):
        return None
    return _repeated_in_one_object(text)


class _RepeatedError(Exception):
    """Stops the parser; its text is the name."""


def _no_repeats(members: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise _RepeatedError(name)
        seen.add(name)


def _repeated_in_one_object(text: bytes) -> str | None:
    try:
        json.loads(text, object_pairs_hook=_no_repeats, parse_int=len, parse_float=len)
    except _RepeatedError as repeated:
        return str(repeated)
    return None


def without_half_surrogates(text: bytes) -> bytes:
    r"""Replace each escape that stands for no character, such as ``\ud800``, by U+FFFD."""
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], text)


def without_long_strings(text: bytes) -> bytes:
    """Remove the insides of long strings, unless they may be members' names.

    Brackets, quotes that begin and end strings, and names of members stay, in their order. Only
    ``find`` is used, which is fast.

    :param text: valid JSON.
    """
    kept: list[bytes] = []
    done, at = 0, LONG_STRING_BYTES
    while at < len(text) and (end := text.find(b'"', at)) >= 0:
        begin = text.rfind(b'"', done, at) + 1
        if begin and end - begin >= LONG_STRING_BYTES and _is_inside(text, begin, end):
            kept.append(text[done:begin])
            done = end
        at = end + LONG_STRING_BYTES
    return b"".join((*kept, text[done:])) if kept else text


def is_heavy(payload: bytes) -> bool:
    """True if parsing a message would keep the reactor from other clients for long."""
    if len(payload) <= LIGHT_MESSAGE_BYTES:
        return False
    return (
        len(payload) > BULKY_MESSAGE_BYTES
        or len(without_long_strings(payload)) > LIGHT_MESSAGE_BYTES
    )


def _is_inside(text: bytes, begin: int, end: int) -> bool:
    """True if the bytes between two quotes are surely one string, without escapes."""
    if text[begin] not in _IN_STRING or text.find(b"\\", begin, end) >= 0:
        return False
    return _COLON.match(text, end + 1) is None
