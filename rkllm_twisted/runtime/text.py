"""The text of one run, put together from callbacks that may end in the middle of a character."""

from __future__ import annotations

import codecs

#: Bytes of UTF-8 that only continue a character.
_CONTINUES = range(0x80, 0xC0)
_decoder = codecs.getincrementaldecoder("utf-8")


class RunText:
    """Decodes the ``text`` of one run's results, one callback after the other.

    A WAITING callback announces that a character is not complete; the runtime gives it whole in a
    later NORMAL one, or, if that begins in the middle of a character, only the rest of it. A
    character that is split over two NORMAL callbacks is given with the second. What is not UTF-8
    becomes U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = _decoder("replace")
        self._waiting = b""

    def normal(self, text: bytes | None) -> str | None:
        """Decode the text of a result in state NORMAL."""
        if text is None:
            return None
        waiting, self._waiting = self._waiting, b""
        if text and text[0] in _CONTINUES:
            text = waiting + text
        return self._decoder.decode(text)

    def waiting(self, text: bytes | None) -> str | None:
        """Decode the text of a result in state WAITING, but for a character that is incomplete."""
        if text is None:
            return None
        decoder = _decoder("replace")
        complete = decoder.decode(text)
        self._waiting = decoder.getstate()[0]
        return complete

    def last(self, text: bytes | None) -> str | None:
        """Decode the text of the last result, and what never became complete."""
        complete = self._decoder.decode(text or b"", final=True)
        return complete if complete or text is not None else None
