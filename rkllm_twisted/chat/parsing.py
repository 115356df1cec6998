"""The parser for one answer, while the model writes it: text in, events out.

    text ─ end tokens ─ reasoning ─ tool calls ─ stop texts ─ events

After :func:`.events.joined`, the events do not depend on how the text was cut into chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from rkllm_twisted.chat.events import Content, Event, Finish
from rkllm_twisted.chat.families import ReasoningMarks
from rkllm_twisted.chat.reasoning import ReasoningSplitter
from rkllm_twisted.chat.stops import StopMatcher
from rkllm_twisted.chat.tool_calls import OpenCall, ToolCallParser
from rkllm_twisted.chat.tool_formats import ToolFormat


@attrs.frozen
class Reading:
    """The rules for reading one answer.

    :param reasoning: the marks around the reasoning. None if the model does not reason, or if the
        reasoning is to be a part of the answer.
    :param opened: True if the prompt ends inside the reasoning.
    :param tool_format: the form of tool calls. None if the request has no tools; then no text is
        read as a call.
    :param names: the names of the request's functions.
    :param stops: the stop texts. They are looked for in the answer, not in reasoning or calls. An
        empty line as a stop text would otherwise end every reasoning.
    :param end_tokens: the texts of the model's end tokens, for runtimes that go on after them.
    """

    reasoning: ReasoningMarks | None = None
    opened: bool = False
    tool_format: ToolFormat | None = None
    names: frozenset[str] = frozenset()
    stops: tuple[str, ...] = ()
    end_tokens: tuple[str, ...] = ()


class AnswerParser:
    """Parses one answer.

    :param new_id: a function that makes an id for a tool call.
    :param stopped: True once a stop text or an end token has come. The run can then be ended.
    :param reasoning_tokens: how many tokens were reasoning. Each chunk of text is one token.
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
        """True once a stop text or an end token has come. The run can then be ended."""
        return self._stops.stopped or self._ends.stopped

    @property
    def calls(self) -> int:
        """How many whole calls have come."""
        return self._calls.calls if self._calls else 0

    @property
    def is_reasoning(self) -> bool:
        """True while the next text is reasoning."""
        return self._reasoning is not None and self._reasoning.reasoning

    @property
    def past_reasoning(self) -> str | None:
        """See :attr:`ReasoningSplitter.past`."""
        return self._reasoning.past if self._reasoning else None

    @property
    def open_call(self) -> OpenCall | None:
        """See :attr:`ToolCallParser.open_call`."""
        return self._calls.open_call if self._calls else None

    def feed(self, text: str) -> list[Event]:
        """Read the text of one token. Return the events that are certain."""
        if self.stopped:
            return []
        events = list(self._outer(self._reason(self._ends.feed(text))))
        if self.is_reasoning:
            self.reasoning_tokens += 1
        return events

    def finish(self, reason: str) -> list[Event]:
        """Return events for the text that was held back, and the last event.

        :param reason: why the run ended: ``stop``, ``length`` or ``cancelled``.
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
        """Pass events of the reasoning stage through the later stages; yield what these return."""
        for event in events:
            if isinstance(event, Content) and self._calls:
                yield from self._stop(self._calls.feed(event.text))
            else:
                yield from self._stop((event,))

    def _stop(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield the events before the first stop text."""
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
