"""Finding marks in text that comes in chunks, without giving away the beginning of one."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


@attrs.frozen
class FoundMark:
    """What is known of a text.

    :param before: text that is certainly no part of a mark.
    :param mark: the mark after it, or None.
    :param rest: what follows the mark; without one, what may yet become one.
    """

    before: str
    mark: str | None
    rest: str


class Marks:
    """A set of marks to look for.

    The mark that begins first is found, and of two that begin at one place the shorter. So the
    outcome does not depend on how the text was cut into chunks.
    """

    def __init__(self, marks: Iterable[str]) -> None:
        self.marks = tuple(sorted({mark for mark in marks if mark}, key=len))
        #: Every proper beginning of a mark.
        self._beginnings = {mark[:end] for mark in self.marks for end in range(1, len(mark))}
        self._longest = max(map(len, self._beginnings), default=0)

    def __bool__(self) -> bool:
        return bool(self.marks)

    def search(self, text: str, *, more: bool = True) -> FoundMark:
        """Look for the first mark.

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
        """Return where the longest end of the text begins that is the beginning of a mark."""
        for at in range(max(0, len(text) - self._longest), len(text)):
            if text[at:] in self._beginnings:
                return at
        return len(text)
