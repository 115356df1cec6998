"""A whole answer as one value, for clients that do not stream."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from rkllm_twisted.chat import events as came
from rkllm_twisted.chat.messages import Message, Text, ToolCall


@attrs.frozen
class ChatAnswer:
    """The answer of a model.

    :param content: the answer's text; None if the answer is tool calls only.
    """

    content: str | None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"

    @property
    def message(self) -> Message:
        """The answer as the client will send it back."""
        parts = () if self.content is None else (Text(self.content),)
        return Message("assistant", parts, self.reasoning, self.tool_calls)


def collect(events: Iterable[came.Event]) -> ChatAnswer:
    """Return the answer that some events make.

    The text of a tool call that cannot be parsed is added to the content.
    """
    content, reasoning, reason = "", "", "stop"
    calls: dict[int, ToolCall] = {}
    for event in events:
        match event:
            case came.Content(text):
                content += text
            case came.Reasoning(text):
                reasoning += text
            case came.ToolCallBegin(index, id, name):
                calls[index] = ToolCall(id, name, "")
            case came.ToolCallArguments(index, text):
                calls[index] = attrs.evolve(calls[index], arguments=calls[index].arguments + text)
            case came.ToolCallBroken(index, text):
                del calls[index]
                content += text
            case came.Finish(reason):
                pass
    return ChatAnswer(
        content if content or not calls else None, reasoning, tuple(calls.values()), reason
    )
