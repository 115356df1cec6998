"""Parses an answer while the model writes it: text in, events out.

    text ─ end tokens ─ reasoning ─ tool calls ─ stop texts ─ events

The events do not depend on the chunks of the text, once they are :func:`.events.joined`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from rkllm_twisted.chat.events import Content, Event, Finish
from rkllm_twisted.chat.families import ReasoningMarks
from rkllm_twisted.chat.reasoning import ReasoningSplitter
from rkllm_twisted.chat.stops import StopMatcher
from rkllm_twisted.chat.tool_calls import ToolCallParser
from rkllm_twisted.chat.tool_formats import ToolFormat


@attrs.frozen
class Reading:
    """The rules for reading one answer.

    :param reasoning: None if the model has none, or if the client wants it as part of the answer.
    :param opened: True if the prompt ends within the reasoning.
    :param tool_format: None if the request has no tools: then no text is a call.
    :param names: the functions of the request.
    :param stops: stop texts; they count in the answer, not in reasoning or calls: an empty line
        would end every reasoning.
    :param end_tokens: texts of the model's end tokens, for runtimes that go on after them.
    """

    reasoning: ReasoningMarks | None = None
    opened: bool = False
    tool_format: ToolFormat | None = None
    names: frozenset[str] = frozenset()
    stops: tuple[str, ...] = ()
    end_tokens: tuple[str, ...] = ()


class AnswerParser:
    """Parses one answer.

    :param new_id: makes the ids of tool calls.
    :param stopped: True once the run may end: a stop text or an end token has come.
    :param reasoning_tokens: the number of reasoning chunks; a chunk is a token.
    """

    def __init__(self, reading: Reading, new_id: Callable[[], str]) -> None:
        self.reasoning_tokens = 0
        self._ends = StopMatcher(reading.end_tokens)
        self._stops = StopMatcher(reading.stops)
        self._reasoning = (
            ReasoningSplitter(reading.reasoning, opened=reading.opened)
            if reading.reasoning
            else None
        )
        self._calls = (
            ToolCallParser(reading.tool_format, reading.names, new_id)
            if reading.tool_format and reading.names
            else None
        )

    @property
    def stopped(self) -> bool:
        """True once the run may end."""
        return self._stops.stopped or self._ends.stopped

    def feed(self, text: str) -> list[Event]:
        """Parse the text of one token."""
        if self.stopped:
            return []
        events = list(self._outer(self._reason(self._ends.feed(text))))
        if self._reasoning and self._reasoning.reasoning:
            self.reasoning_tokens += 1
        return events

    def finish(self, reason: str) -> list[Event]:
        """Return the text that was held back, and the finish.

        :param reason: the end of the run: ``stop``, ``length`` or ``cancelled``.
        """
        events: list[Event] = []
        if not self._stops.stopped:
            events += self._outer(self._reason(self._ends.flush()))
            if self._reasoning:
                events += self._outer(self._reasoning.flush())
            if self._calls:
                events += self._stop(self._calls.flush())
            events += self._text(self._stops.flush())
        return [*events, Finish(self._reason_of(reason))]

    def _reason_of(self, reason: str) -> str:
        if reason == "cancelled":
            return reason
        if self.stopped:
            reason = "stop"
        return "tool_calls" if reason == "stop" and self._calls and self._calls.calls else reason

    def _reason(self, text: str) -> Iterable[Event]:
        if not text:
            return ()
        return self._reasoning.feed(text) if self._reasoning else (Content(text),)

    def _outer(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield events of the reasoning stage as they leave the stages after it."""
        for event in events:
            if isinstance(event, Content) and self._calls:
                yield from self._stop(self._calls.feed(event.text))
            else:
                yield from self._stop((event,))

    def _stop(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield events up to the first stop text."""
        for event in events:
            if self._stops.stopped:
                return
            if isinstance(event, Content):
                yield from self._text(self._stops.feed(event.text))
                continue
            yield from self._text(self._stops.flush())
            if not self._stops.stopped:
                yield event

    def _text(self, text: str) -> Iterator[Event]:
        if text:
            yield Content(text)
