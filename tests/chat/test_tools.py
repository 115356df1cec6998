"""Tools are read from JSON, and added to the prompt if the template has no place for them."""

from __future__ import annotations

import pytest

from rkllm_twisted.chat.messages import Message, Text, ToolCall, say
from rkllm_twisted.chat.tools import NO_TOOLS, as_text, read_tools, with_instruction
from rkllm_twisted.errors import InvalidParams

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TIME = {"type": "function", "function": {"name": "time"}}


def test_tools_have_names() -> None:
    tools = read_tools([WEATHER, TIME])
    assert tools.names == {"weather", "time"}
    assert (tools.required, tools.only) == (False, None)


def test_the_choice_may_be_none_or_required_or_one_of_them() -> None:
    assert read_tools([WEATHER], "none") == NO_TOOLS
    assert read_tools([WEATHER], "required").required
    one = read_tools([WEATHER, TIME], {"type": "function", "function": {"name": "time"}})
    assert (one.required, one.only) == (True, "time")
    assert not read_tools(None)


@pytest.mark.parametrize(
    ("tools", "choice", "place"),
    [
        ("weather", None, "tools"),
        ([1], None, "tools[0].type"),
        ([{"type": "web_search"}], None, "tools[0].type"),
        ([WEATHER, {"type": "function"}], None, "tools[1].function.name"),
        ([WEATHER, WEATHER], None, "tools"),
        ([WEATHER], "always", "tool_choice"),
        ([WEATHER], {"function": {"name": "time"}}, "tool_choice"),
        ([], "required", "tool_choice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tools: object, choice: object, place: str) -> None:
    with pytest.raises(InvalidParams) as error:
        read_tools(tools, choice)
    assert error.value.data == {"parameter": place}


def test_any_model_can_be_told_of_tools() -> None:
    told = with_instruction((say("system", "Be brief."), say("user", "Hi")), read_tools([WEATHER]))
    assert told[0].text.startswith("Be brief.\n\nYou can call functions.")
    assert '"name": "weather"' in told[0].text
    assert told[1] == say("user", "Hi")
    assert with_instruction((say("user", "Hi"),), read_tools([WEATHER]))[0].role == "system"


def test_calls_and_results_can_be_text() -> None:
    call = Message("assistant", (Text("Look."),), tool_calls=(ToolCall("a", "time", "{}"),))
    assert as_text(call) == say(
        "assistant", 'Look.\n```json\n{"name": "time", "parameters": {}}\n```'
    )
    result = Message("tool", (Text("noon"),), name="time")
    assert as_text(result) == say("user", "Result of time:\nnoon")


def test_the_names_of_very_many_tools_are_compared_at_once() -> None:
    """The square of their number would take minutes."""
    many = [{"function": {"name": f"f{number}"}} for number in range(60_000)]
    assert len(read_tools(many).names) == 60_000
    with pytest.raises(InvalidParams, match="two functions have the name"):
        read_tools([*many, many[7]])
