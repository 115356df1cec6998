"""Breaks the lines of a streamed text between words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

_PIECES = re.compile(r"\n|[^\S\n]+|\S+")


class WordWrap:
    """Takes a text piece by piece, and returns what can be written.

    A word is held until it is complete. A word that is longer than a line is left to the
    terminal to break.

    :param columns: the width of a line.
    :param width_of: returns the columns that a text takes.
    """

    def __init__(self, columns: int, width_of: Callable[[str], int] = len) -> None:
        self._columns = columns
        self._width_of = width_of
        self._column = 0
        self._word = ""

    def feed(self, text: str) -> str:
        """Return the words that are complete, with the white space after them."""
        written: list[str] = []
        for piece in _PIECES.findall(text):
            if piece.isspace():
                written += self._end_word(), self._space(piece)
            else:
                self._word += piece
        return "".join(written)

    def end(self) -> str:
        """Return the last word."""
        return self._end_word()

    def _space(self, space: str) -> str:
        if space == "\n":
            self._column = 0
        elif (after := self._column + self._width_of(space)) <= self._columns:
            self._column = after
        else:  # the next word begins a line
            self._column = self._columns
            return ""
        return space

    def _end_word(self) -> str:
        word, self._word = self._word, ""
        width = self._width_of(word)
        if word and self._column and self._column + width > self._columns:
            self._column = width
            return f"\n{word}"
        self._column += width
        return word
