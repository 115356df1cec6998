"""Tool calls of every family are found; anything else is text."""

from __future__ import annotations

import json

import pytest
from answers_in_chunks import cut, parse, parse_every_way
from hypothesis import given, settings
from hypothesis import strategies as st

from rkllm_twisted.chat.answer import collect
from rkllm_twisted.chat.events import (
    Content,
    Event,
    Finish,
    ToolCallArguments,
    ToolCallBegin,
    ToolCallBroken,
)
from rkllm_twisted.chat.parsing import AnswerParser, Reading
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS, ToolFormat

NAMES = frozenset({"weather", "time"})
PARIS = '{"city": "Paris"}'


def reading(form: str, stops: tuple[str, ...] = ()) -> Reading:
    return Reading(tool_format=TOOL_FORMATS[form], names=NAMES, stops=stops)


def call(index: int, name: str, arguments: str) -> list[Event]:
    return [ToolCallBegin(index, f"call_{index + 1}", name), ToolCallArguments(index, arguments)]


WEATHER = call(0, "weather", PARIS)
BOTH = [*WEATHER, *call(1, "time", "{}")]
CALLED = Finish("tool_calls")
STOP = Finish("stop")
DS = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n{}\n```<｜tool▁call▁end｜>"

#: The members of the call in most of the texts.
N, A, P = '"name": "weather"', f'"arguments": {PARIS}', f'"parameters": {PARIS}'
ONE_CALL = [
    ("hermes", f"<tool_call>\n{{{N}, {A}}}\n</tool_call>"),
    ("hermes", f"<tool_call>{{{N}, {A}}}"),
    ("hermes", f"<tool_call>{{{A}, {N}}}</tool_call>"),
    ("hermes", f'<tool_call>{{"id": 1,{N},"x":[1,{{}}],{A},"y":null}}'),
    ("llama3", f"{{{N}, {P}}}"),
    ("llama3", f'\n{{"type": "function", {N}, {P}}}<|eom_id|>'),
    ("llama3", f"<|python_tag|>{{{N}, {P}}}"),
    ("mistral", f'[TOOL_CALLS][{{{N}, {A}, "id": "abc"}}]'),
    ("mistral", f"[TOOL_CALLS] [{{{N}, {A}}}]"),
    ("mistral", f"[TOOL_CALLS]weather[ARGS]{PARIS}"),
    ("mistral", f"[TOOL_CALLS]weather{PARIS}"),
    ("deepseek", f"<｜tool▁calls▁begin｜>{DS.format('weather', PARIS)}<｜tool▁calls▁end｜>"),
    ("deepseek", f"<｜tool▁call▁begin｜>weather<｜tool▁sep｜>{PARIS}<｜tool▁call▁end｜>"),
    ("phi", f"<|tool_call|>[{{{N}, {A}}}]<|/tool_call|>"),
    ("phi", f"functools[{{{N}, {A}}}]"),
    ("internlm", f"<|action_start|><|plugin|>\n{{{N}, {P}}}<|action_end|>"),
    ("fenced", f"```json\n{{{N}, {P}}}\n```"),
    ("fenced", f"```tool_call\n{{{N}, {P}}}\n```\n"),
    ("fenced", f"```\n{{{N}, {P}}}\n```"),
    ("fenced", f"{{{N}, {P}}}"),
]


@pytest.mark.parametrize(("form", "text"), ONE_CALL)
def test_a_call_is_its_name_and_then_its_arguments(form: str, text: str) -> None:
    assert parse_every_way(reading(form), text) == [*WEATHER, CALLED]


T = '{"name": "time"}'
TWO_CALLS = [
    ("hermes", f"<tool_call>{{{N}, {A}}}</tool_call>\n<tool_call>{T}</tool_call>"),
    ("llama3", f'{{{N}, {P}}}; {{"name":"time","parameters":{{}}}}'),
    ("mistral", f"[TOOL_CALLS][{{{N}, {A}}}, {T}]"),
    ("mistral", f"[TOOL_CALLS]weather[ARGS]{PARIS}[TOOL_CALLS]time[ARGS]{{}}"),
    (
        "deepseek",
        f"<｜tool▁calls▁begin｜>{DS.format('weather', PARIS)}\n{DS.format('time', '{}')}"
        "<｜tool▁calls▁end｜>",
    ),
    ("phi", f"<|tool_call|>[{{{N}, {A}}},{T}]<|/tool_call|>"),
    ("fenced", f"```json\n{{{N}, {P}}}\n```\n```json\n{T}\n```"),
    ("fenced", f"```json\n[{{{N}, {P}}},{T}]\n```"),
]


@pytest.mark.parametrize(("form", "text"), TWO_CALLS)
def test_several_calls_are_counted(form: str, text: str) -> None:
    assert parse_every_way(reading(form), text) == [*BOTH, CALLED]


def test_text_before_and_after_a_call_is_content() -> None:
    text = f"I look.\n\n<tool_call>{{{N}, {A}}}</tool_call>\nDone.\n"
    assert parse_every_way(reading("hermes"), text) == [
        Content("I look."),
        *WEATHER,
        Content("Done."),
        CALLED,
    ]


NO_CALLS = [
    ("hermes", "2 < 3 and <tool_cal"),
    ("hermes", "the mark <tool_call> is text"),
    ("hermes", '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>'),
    ("hermes", '<tool_call>{"name": 3}</tool_call>'),
    ("hermes", '<tool_call>{"arguments": {}}</tool_call>'),
    ("hermes", '<tool_call>{"name": "weather", "arguments": [1]}</tool_call>'),
    ("hermes", '<tool_call>{"name": "weather", "arguments": "Paris"}</tool_call>'),
    ("hermes", "<tool_call>{name: weather}</tool_call>"),
    ("hermes", '<tool_call>{"name": "weather", "arg'),
    ("llama3", '{"name": "Anna", "age": 3}'),
    ("llama3", "{ this is a brace"),
    ("llama3", 'Sure: {"name": "weather", "parameters": {}}'),
    ("mistral", "[TOOL_CALLS][]"),
    ("mistral", "[TOOL_CALLS][1]"),
    ("mistral", "[TOOL_CALLS]unknown[ARGS]{}"),
    ("mistral", "[TOOL_CALLS]a list of them {}"),
    ("mistral", "[TOOL_CALLS]" + "a" * 300 + "{"),
    ("deepseek", "<｜tool▁calls▁begin｜> no"),
    ("fenced", "```json\n[1, 2]\n```"),
    ("fenced", '```json\n{"a": "```json"}\n```'),
    ("fenced", "{"),
]


@pytest.mark.parametrize(("form", "text"), NO_CALLS)
def test_what_is_no_call_is_given_back_as_text(form: str, text: str) -> None:
    assert parse_every_way(reading(form), text) == [Content(text), STOP]


def test_a_call_behind_a_mark_that_came_to_nothing_is_found() -> None:
    text = f"a <tool_call> b <tool_call>{{{N}, {A}}}</tool_call>"
    assert parse_every_way(reading("hermes"), text) == [
        Content("a <tool_call> b"),
        *WEATHER,
        CALLED,
    ]


def test_arguments_that_break_after_the_name_was_told_are_withdrawn() -> None:
    """A stream has sent the name already, so it withdraws the call and sends the text."""
    text = '<tool_call>{"name": "weather", "arguments": {"city" Paris'
    events = parse_every_way(reading("hermes"), text)
    assert events == [
        *call(0, "weather", '{"city" '),
        ToolCallBroken(0, '<tool_call>{"name": "weather", "arguments": {"city" '),
        Content("Paris"),
        STOP,
    ]
    answer = collect(events)
    assert (answer.content, answer.tool_calls, answer.finish_reason) == (text, (), "stop")


def test_a_call_that_was_cut_off_is_withdrawn() -> None:
    text = '<tool_call>{"name": "weather", "arguments": {"city": "Pa'
    events = parse_every_way(reading("hermes"), text, "length")
    assert events[-2:] == [ToolCallBroken(0, text), Finish("length")]


def test_arguments_come_while_they_are_written() -> None:
    parser = AnswerParser(reading("hermes"), lambda: "call_1")
    assert parser.feed('<tool_call>{"name": "weather", ') == []
    assert parser.feed('"arguments": {"ci') == [
        ToolCallBegin(0, "call_1", "weather"),
        ToolCallArguments(0, '{"ci'),
    ]
    assert parser.feed('ty"') == [ToolCallArguments(0, 'ty"')]


def test_arguments_written_as_a_string_are_the_object_in_it() -> None:
    text = '<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>'
    assert parse_every_way(reading("hermes"), text) == [*WEATHER, CALLED]


def test_stop_texts_do_not_count_within_calls() -> None:
    text = '<tool_call>{"name":"weather","arguments":{"city": "Paris"}}</tool_call>Paris it is'
    assert parse_every_way(reading("hermes", ("Paris",)), text) == [*WEATHER, CALLED]


def test_without_tools_marks_are_text() -> None:
    text = '<tool_call>{"name":"weather"}</tool_call>'
    assert parse_every_way(Reading(tool_format=TOOL_FORMATS["hermes"]), text) == [
        Content(text),
        STOP,
    ]


@pytest.mark.parametrize("form", TOOL_FORMATS.values(), ids=lambda form: form.name)
def test_a_call_as_it_is_written_is_read_again(form: ToolFormat) -> None:
    """The model therefore sees its earlier calls in its own form."""
    assert parse_every_way(reading(form.name), form.write("weather", PARIS)) == [*WEATHER, CALLED]
    assert form.write("weather", PARIS).startswith(form.beginning("weather"))
    assert form.write("weather", PARIS).startswith(form.beginning(None))


PARTS = {
    form.name: [
        *form.opens,
        *form.closes,
        *[text for f, text in ONE_CALL + NO_CALLS if f == form.name],
    ]
    for form in TOOL_FORMATS.values()
}
SPICE = [
    "{",
    "}",
    "[",
    "]",
    '"',
    " ",
    "\n",
    ",",
    "x",
    "`",
    "<",
    '{"name": "weather"}',
    '"arguments": ',
]


@settings(deadline=None)
@given(st.data(), st.sampled_from(sorted(PARTS)))
def test_chunks_make_no_difference_and_nothing_is_lost(data: st.DataObject, form: str) -> None:
    parts = data.draw(st.lists(st.sampled_from([*PARTS[form], *SPICE]), max_size=6))
    text = "".join(parts)
    whole = parse(reading(form), [text])
    places = data.draw(st.lists(st.integers(0, 200), max_size=12))
    assert parse(reading(form), cut(text, places)) == whole
    assert parse(reading(form), list(text)) == whole
    answer = collect(whole)
    for one in answer.tool_calls:
        assert isinstance(json.loads(one.arguments), dict)
    if not answer.tool_calls:
        assert (answer.content or "").split() == text.split()
