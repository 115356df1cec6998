"""Separates a model's reasoning from its answer."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from rkllm_twisted.chat.events import Content, Event, Reasoning
from rkllm_twisted.chat.families import ReasoningMarks
from rkllm_twisted.chat.marks import Marks


class _State(Enum):
    BEGIN = "nothing but white space and perhaps the opening mark so far"
    REASONING = "between the marks"
    AFTER = "behind the closing mark, nothing but white space so far"
    CONTENT = "the answer"


class ReasoningSplitter:
    """Splits text into reasoning and content.

    Reasoning is the text between the marks, if the opening mark is at the very beginning. A later
    mark is part of the answer, which may be a text about such marks. The white space beside the
    marks belongs to neither part.

    :param opened: True if the prompt ends inside the reasoning.
    :ivar past: the text that has come behind the reasoning, with the white space; all text, if
        there is no reasoning. None before that.
    """

    def __init__(self, marks: ReasoningMarks, *, opened: bool) -> None:
        self._open = Marks([marks.open])
        self._close = Marks([marks.close])
        self._opened = opened
        self._state = _State.BEGIN
        self._held = ""
        self._first = True
        self.past: str | None = None

    @property
    def reasoning(self) -> bool:
        """True while the next text is reasoning."""
        return self._state is _State.REASONING or (self._opened and self._state is _State.BEGIN)

    def feed(self, text: str) -> Iterator[Event]:
        """Read a chunk of text. Yield the events that are certain."""
        self._held += text
        if self.past is not None:
            self.past += text
        before = None
        while self._state is not before:
            before = self._state
            yield from _STEPS[before](self)

    def flush(self) -> Iterator[Event]:
        """Yield the text that was held back. Call this after the last chunk."""
        held, self._held = self._held, ""
        if held:
            yield Reasoning(held) if self.reasoning else Content(held)

    def _begin(self) -> Iterator[Event]:
        text = self._held.lstrip()
        found = self._open.search(text)
        if found.before:
            self._state = _State.REASONING if self._opened else _State.CONTENT
            self._held = text if self._opened else self._held
            self.past = None if self._opened else self._held
        elif found.mark:
            self._state = _State.REASONING
            self._held = found.rest
        return iter(())

    def _reason(self) -> Iterator[Event]:
        if self._first:  # no reasoning has been returned yet
            self._held = self._held.lstrip()
        found = self._close.search(self._held)
        text = found.before.rstrip()
        if text:
            self._first = False
            yield Reasoning(text)
        if found.mark:
            self._state, self._held = _State.AFTER, found.rest
            self.past = found.rest
        else:
            self._held = self._held[len(text) :]

    def _after(self) -> Iterator[Event]:
        self._held = self._held.lstrip()
        if self._held:
            self._state = _State.CONTENT
        return iter(())

    def _answer(self) -> Iterator[Event]:
        held, self._held = self._held, ""
        if held:
            yield Content(held)


_STEPS = {
    _State.BEGIN: ReasoningSplitter._begin,
    _State.REASONING: ReasoningSplitter._reason,
    _State.AFTER: ReasoningSplitter._after,
    _State.CONTENT: ReasoningSplitter._answer,
}
