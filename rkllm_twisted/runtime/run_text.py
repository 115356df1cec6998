"""The text of a run: characters that are divided between callbacks become whole again."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from rkllm_twisted.values import LAST_STATES, RunState

#: Bytes of UTF-8 that only continue a character.
_CONTINUATION = range(0x80, 0xC0)
_decoder = codecs.getincrementaldecoder("utf-8")


class RunText:
    """Decodes the ``text`` of one run's results, whose ends may lie inside a character.

    A WAITING callback says that a character is not complete. The runtime sends the whole character
    in a later NORMAL one, or only the rest of it if that text begins inside a character. The second
    of two NORMAL callbacks brings a character that is split over both. Bytes that are not UTF-8
    become U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = _decoder("replace")
        self._waiting = b""
        #: True if the last text has ended inside a character.
        self._is_inside = False

    def normal(self, text: bytes | None) -> str | None:
        """Decode the text of a result in state NORMAL."""
        if text is None:
            return None
        if self._is_inside:
            return self._go_on(text)
        try:
            return text.decode()
        except UnicodeDecodeError:
            return self._go_on(text)

    def normals(self, texts: list[bytes]) -> Sequence[str | None]:
        """Decode the texts of results in state NORMAL that follow each other."""
        if not self._is_inside:
            try:  # contextlib.suppress would be three calls more, for each read
                return [*map(bytes.decode, texts)]
            except UnicodeDecodeError:
                pass
        return [self.normal(text) for text in texts]

    def _go_on(self, text: bytes) -> str:
        """Decode a text that begins or ends inside a character, or is no UTF-8."""
        waiting, self._waiting = self._waiting, b""
        if text and text[0] in _CONTINUATION:
            text = waiting + text
        complete = self._decoder.decode(text)
        self._is_inside = bool(self._decoder.getstate()[0])
        return complete

    def waiting(self, text: bytes | None) -> str | None:
        """Decode the text of a result in state WAITING, without its incomplete character."""
        if text is None:
            return None
        decoder = _decoder("replace")
        complete = decoder.decode(text)
        self._waiting = decoder.getstate()[0]
        self._is_inside = self._is_inside or bool(self._waiting)
        return complete

    def last(self, text: bytes | None) -> str | None:
        """Decode the text of the last result, and the bytes that were never completed."""
        complete = self._decoder.decode(text or b"", final=True)
        return complete if complete or text is not None else None

    def reading(self, state: int) -> Callable[[bytes | None], str | None]:
        """Return what decodes the text of a result in this state."""
        if state in LAST_STATES:
            return self.last
        return self.waiting if state == RunState.WAITING else self.normal
