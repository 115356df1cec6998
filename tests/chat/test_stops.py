"""A stop text ends the answer, wherever the chunks are cut."""

from __future__ import annotations

import pytest
from answers_in_chunks import cut, parse, parse_every_way
from hypothesis import given, settings
from hypothesis import strategies as st

from rkllm_twisted.chat.events import Content, Finish, Reasoning
from rkllm_twisted.chat.families import ReasoningMarks
from rkllm_twisted.chat.parsing import AnswerParser, Reading
from rkllm_twisted.chat.stops import read_stops
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS
from rkllm_twisted.errors import InvalidParams


def test_the_answer_ends_before_the_stop_text() -> None:
    assert parse_every_way(Reading(stops=("END",)), "one two END three") == [
        Content("one two "),
        Finish("stop"),
    ]


def test_a_beginning_that_comes_to_nothing_is_given_out() -> None:
    assert parse_every_way(Reading(stops=("END",)), "EN ENE EN") == [
        Content("EN ENE EN"),
        Finish("stop"),
    ]


@settings(deadline=None)
@given(
    st.text("ab", max_size=20), st.text("ab", min_size=1, max_size=4), st.lists(st.integers(0, 20))
)
def test_no_beginning_of_a_stop_text_leaks(text: str, stop: str, places: list[int]) -> None:
    """The text sent so far is always a prefix of the final answer."""
    parser = AnswerParser(Reading(stops=(stop,)), str)
    answer = text.split(stop, maxsplit=1)[0]
    given_out = ""
    for chunk in cut(text, places):
        given_out += "".join(e.text for e in parser.feed(chunk) if isinstance(e, Content))
        assert answer.startswith(given_out)
    given_out += "".join(e.text for e in parser.finish("stop") if isinstance(e, Content))
    assert given_out == answer


def test_the_run_may_be_ended_at_a_stop_text() -> None:
    parser = AnswerParser(Reading(stops=("X",)), str)
    parser.feed("ab")
    assert not parser.stopped
    parser.feed("cX")
    assert parser.stopped
    assert parser.feed("more") == []


def test_a_run_that_was_cut_off_at_its_stop_text_has_stopped() -> None:
    """The token limit did not end the run."""
    assert parse(Reading(stops=("X",)), ["aX"], "length")[-1] == Finish("stop")
    assert parse(Reading(stops=("X",)), ["a"], "length")[-1] == Finish("length")


def test_stop_texts_do_not_count_in_reasoning() -> None:
    reading = Reading(reasoning=ReasoningMarks(), stops=("\n\n",))
    assert parse_every_way(reading, "<think>a\n\nb</think>c\n\nd") == [
        Reasoning("a\n\nb"),
        Content("c"),
        Finish("stop"),
    ]


def test_a_call_after_a_stop_text_is_none() -> None:
    """Later text may be needed to recognise the stop text."""
    reading = Reading(
        tool_format=TOOL_FORMATS["hermes"], names=frozenset({"f"}), stops=("abcd", "bc")
    )
    assert parse_every_way(reading, 'abc<tool_call>{"name": "f"}') == [Content("a"), Finish("stop")]


def test_an_end_token_that_the_runtime_ignores_ends_the_answer() -> None:
    reading = Reading(reasoning=ReasoningMarks(), end_tokens=("<|im_end|>",))
    assert parse_every_way(reading, "hello<|im_end|>\n<|im_start|>user") == [
        Content("hello"),
        Finish("stop"),
    ]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (1, "stop"),
        ([1], "stop[0]"),
        ([""], "stop[0]"),
        (["a"] * 17, "stop"),
        (["a", "b" * 1001], "stop[1]"),
    ],
)
def test_wrong_stops_are_refused_by_place(value: object, place: str) -> None:
    with pytest.raises(InvalidParams) as error:
        read_stops(value)
    assert error.value.data == {"parameter": place}


def test_stops_are_a_text_or_several() -> None:
    assert (read_stops(None), read_stops("a"), read_stops(["a", "b"])) == ((), ("a",), ("a", "b"))
