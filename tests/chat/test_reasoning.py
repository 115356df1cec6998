"""Reasoning is separated from the answer."""

from __future__ import annotations

from answers_in_chunks import cut, parse, parse_every_way
from hypothesis import given, settings
from hypothesis import strategies as st

from rkllm_twisted.chat.events import Content, Finish, Reasoning
from rkllm_twisted.chat.families import ReasoningMarks
from rkllm_twisted.chat.parsing import AnswerParser, Reading

MARKS = Reading(reasoning=ReasoningMarks())
OPENED = Reading(reasoning=ReasoningMarks(), opened=True)
STOP = Finish("stop")


def test_reasoning_stands_between_its_marks() -> None:
    events = parse_every_way(MARKS, "\n<think>\nSo, 2 < 3.\n</think>\n\nYes.\n")
    assert events == [Reasoning("So, 2 < 3."), Content("Yes.\n"), STOP]


def test_without_marks_all_is_the_answer() -> None:
    assert parse_every_way(MARKS, " Yes <thin air") == [Content(" Yes <thin air"), STOP]


def test_empty_reasoning_leaves_no_trace() -> None:
    """Qwen3 writes empty reasoning when thinking is off."""
    assert parse_every_way(MARKS, "<think>\n\n</think>\n\nYes") == [Content("Yes"), STOP]


def test_a_mark_amid_the_answer_is_text() -> None:
    text = "Write <think> like this </think>."
    assert parse_every_way(MARKS, text) == [Content(text), STOP]


def test_the_template_may_have_opened_it() -> None:
    """DeepSeek-R1's template opens it, so the model writes the closing mark only."""
    assert parse_every_way(OPENED, "So.\n</think>\nYes") == [Reasoning("So."), Content("Yes"), STOP]


def test_a_second_opening_mark_is_dropped() -> None:
    assert parse_every_way(OPENED, "<think>So</think>Yes") == [
        Reasoning("So"),
        Content("Yes"),
        STOP,
    ]


def test_reasoning_that_never_ends_is_reasoning() -> None:
    assert parse_every_way(MARKS, "<think>So </thi", "length") == [
        Reasoning("So </thi"),
        Finish("length"),
    ]
    assert parse_every_way(OPENED, "  ") == [Reasoning("  "), STOP]


def test_reasoning_tokens_are_counted() -> None:
    parser = AnswerParser(MARKS, str)
    for token in ("<think>", "So", " it", "</think>", "Yes"):
        parser.feed(token)
    assert parser.reasoning_tokens == 3


TEXTS = st.lists(st.sampled_from(["<think>", "</think>", "<", "a", " ", "\n"])).map("".join)


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(0, 40)), st.booleans())
def test_chunks_make_no_difference(text: str, places: list[int], opened: bool) -> None:
    reading = OPENED if opened else MARKS
    assert parse(reading, cut(text, places)) == parse(reading, [text])
