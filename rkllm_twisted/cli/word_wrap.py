"""Breaks the lines of a streamed text between words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

_PIECES = re.compile(r"\n|[^\S\n]+|\S+")


class WordWrap:
    """Takes a text piece by piece, and returns what can be written.

    The last word is held until it is complete. A word that is longer than a line is left to the
    terminal to break.

    :param columns: the width of a line.
    :param width_of: returns the columns that a text takes.
    """

    def __init__(self, columns: int, width_of: Callable[[str], int] = len) -> None:
        self._columns = columns
        self._width_of = width_of
        self._column = 0
        self._space = ""
        self._word = ""

    def feed(self, text: str) -> str:
        """Return the lines and words that are complete."""
        written = []
        for piece in _PIECES.findall(text):
            if not piece.isspace():
                self._word += piece
                continue
            written.append(self._end_word())
            if piece == "\n":
                written.append(self._space.rstrip(" ") + "\n")
                self._column, self._space = 0, ""
            else:
                self._space += piece
        return "".join(written)

    def end(self) -> str:
        """Return the last word."""
        return self._end_word()

    def _end_word(self) -> str:
        if not self._word:
            return ""
        width = self._width_of(self._word)
        space, word, self._space, self._word = self._space, self._word, "", ""
        if self._column and self._column + self._width_of(space) + width > self._columns:
            self._column = width
            return f"\n{word}"
        self._column += self._width_of(space) + width
        return space + word
