"""The events of an answer as one value."""

from __future__ import annotations

from rkllm_twisted.chat.answer import collect
from rkllm_twisted.chat.events import (
    Content,
    Finish,
    Reasoning,
    ToolCallArguments,
    ToolCallBegin,
    ToolCallBroken,
)
from rkllm_twisted.chat.messages import Message, Text, ToolCall, say


def test_an_answer_is_the_message_that_its_client_sends_back() -> None:
    answer = collect([Reasoning("Hm."), Content("Yes"), Content("."), Finish("length")])
    assert answer.message == Message("assistant", (Text("Yes."),), "Hm.")
    assert answer.finish_reason == "length"


def test_an_answer_of_calls_has_no_content() -> None:
    call = [ToolCallBegin(0, "a", "f"), ToolCallArguments(0, "{"), ToolCallArguments(0, "}")]
    answer = collect([*call, Finish("tool_calls")])
    assert answer.content is None
    assert answer.message == Message("assistant", tool_calls=(ToolCall("a", "f", "{}"),))


def test_a_broken_call_is_text() -> None:
    answer = collect([ToolCallBegin(0, "a", "f"), ToolCallBroken(0, "<f"), Finish("stop")])
    assert answer.message == say("assistant", "<f")


def test_an_answer_of_nothing_is_empty_text() -> None:
    assert collect([Finish("stop")]).content == ""
