"""Finds marks in text that comes in chunks, and holds back the beginning of a mark."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


@attrs.frozen
class FoundMark:
    """The result of a search for a mark.

    :param before: the text that is certainly no part of a mark.
    :param mark: the mark after it, or None.
    :param rest: the text after the mark; without a mark, the text that may become one.
    """

    before: str
    mark: str | None
    rest: str


class Marks:
    """A set of marks to search for.

    The search finds the mark that begins first, and of two at one place the shorter. So the
    outcome does not depend on the chunks of the text.
    """

    def __init__(self, marks: Iterable[str]) -> None:
        self.marks = tuple(sorted({mark for mark in marks if mark}, key=len))
        #: Every proper beginning of a mark.
        self._beginnings = {mark[:end] for mark in self.marks for end in range(1, len(mark))}
        self._longest = max(map(len, self._beginnings), default=0)

    def __bool__(self) -> bool:
        return bool(self.marks)

    def search(self, text: str, *, more: bool = True) -> FoundMark:
        """Search for the first mark.

        :param more: True if the text may go on.
        """
        at, mark = len(text), ""
        for one in self.marks:  # the shorter first
            found = text.find(one, 0, at + len(one))
            if 0 <= found < at:
                at, mark = found, one
        held = self._held_from(text) if more else len(text)
        if held < at:
            return FoundMark(text[:held], None, text[held:])
        return FoundMark(text[:at], mark or None, text[at + len(mark) :])

    def _held_from(self, text: str) -> int:
        """Return the position of the longest end of the text that is the beginning of a mark."""
        for at in range(max(0, len(text) - self._longest), len(text)):
            if text[at:] in self._beginnings:
                return at
        return len(text)
