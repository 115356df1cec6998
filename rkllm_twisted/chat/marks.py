"""The search for marks in text that comes in chunks. The beginning of a mark is held back."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


@attrs.frozen
class FoundMark:
    """The result of a search in a text.

    :param before: the text before the mark. It is certainly not part of a mark.
    :param mark: the first mark, or None.
    :param rest: the text after the mark. If there is no mark: text that may become one.
    """

    before: str
    mark: str | None
    rest: str


class Marks:
    """A set of marks to search for.

    The search finds the mark that begins first. If two marks begin at one place, it finds the
    shorter. So the result does not depend on how the text was cut into chunks.
    """

    def __init__(self, marks: Iterable[str]) -> None:
        self.marks = tuple(sorted({mark for mark in marks if mark}, key=len))
        #: Every beginning of a mark, without the whole marks.
        self._beginnings = {mark[:end] for mark in self.marks for end in range(1, len(mark))}
        self._longest = max(map(len, self._beginnings), default=0)

    def __bool__(self) -> bool:
        return bool(self.marks)

    def search(self, text: str, *, more: bool = True) -> FoundMark:
        """Search for the first mark.

        :param more: True if more text may follow.
        """
        at, mark = len(text), ""
        for one in self.marks:  # the shortest first
            found = text.find(one, 0, at + len(one))
            if 0 <= found < at:
                at, mark = found, one
        held = self._held_from(text) if more else len(text)
        if held < at:
            return FoundMark(text[:held], None, text[held:])
        return FoundMark(text[:at], mark or None, text[at + len(mark) :])

    def _held_from(self, text: str) -> int:
        """Return the index of the longest suffix that is the beginning of a mark."""
        for at in range(max(0, len(text) - self._longest), len(text)):
            if text[at:] in self._beginnings:
                return at
        return len(text)
