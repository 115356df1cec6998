"""The search finds marks across chunks and holds back their beginnings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rkllm_twisted.chat.marks import FoundMark, Marks
from rkllm_twisted.chat.segments import (
    Mark,
    after,
    as_json,
    broken_up,
    from_json,
    merged,
    split_marks,
    text_of,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("abc", FoundMark("abc", None, "")),
        ("ab<", FoundMark("ab", None, "<")),
        ("ab<e", FoundMark("ab", None, "<e")),
        ("ab<x", FoundMark("ab<x", None, "")),
        ("a<end>b", FoundMark("a", "<end>", "b")),
        ("a</end>b<", FoundMark("a", "</end>", "b<")),
        ("<<end>", FoundMark("<", "<end>", "")),
    ],
)
def test_what_may_become_a_mark_is_held_back(text: str, found: FoundMark) -> None:
    assert Marks(["<end>", "</end>"]).search(text) == found


def test_the_mark_that_begins_first_is_waited_for() -> None:
    """Otherwise the result would depend on the boundaries of the chunks."""
    marks = Marks(["abcd", "bc"])
    assert marks.search("xabc") == FoundMark("x", None, "abc")
    assert marks.search("xabc", more=False) == FoundMark("xa", "bc", "")
    assert marks.search("xabcd") == FoundMark("x", "abcd", "")


@settings(deadline=None)
@given(st.text("ab<>", max_size=12), st.lists(st.text("ab<>", min_size=1, max_size=3)))
def test_nothing_is_lost(text: str, marks: list[str]) -> None:
    found = Marks(marks).search(text)
    assert found.before + (found.mark or "") + found.rest == text


PIECES = st.lists(st.one_of(st.text("ab", max_size=3), st.sampled_from([Mark("<x>"), Mark("<y>")])))


@settings(deadline=None)
@given(PIECES, PIECES)
def test_what_follows_a_beginning_completes_it(
    beginning: list[str | Mark], rest: list[str | Mark]
) -> None:
    """The cut may be inside a text."""
    begun, whole = merged(beginning), merged([*beginning, *rest])
    follows = after(begun, whole)
    assert follows is not None
    assert merged([*begun, *follows]) == whole


@settings(deadline=None)
@given(PIECES, PIECES)
def test_another_beginning_is_noticed(one: list[str | Mark], other: list[str | Mark]) -> None:
    begun, whole = merged(one), merged(other)
    follows = after(begun, whole)
    assert follows is None or merged([*begun, *follows]) == whole


def test_a_mark_is_no_text_that_looks_like_it() -> None:
    assert after((Mark("<x>"),), ("<x>", "more")) is None
    assert after(("<x>",), (Mark("<x>"), "more")) is None


def test_a_familys_text_is_split_at_its_marks() -> None:
    pieces = split_marks("<|s|>user\n<|e|>", ["<|s|>", "<|e|>"])
    assert pieces == (Mark("<|s|>"), "user\n", Mark("<|e|>"))
    assert text_of(pieces) == "<|s|>user\n<|e|>"


def test_marks_in_a_text_are_broken_up() -> None:
    """The broken text looks the same but contains no mark."""
    text = broken_up("a<|s|>b", ["<|s|>"])
    assert "<|s|>" not in text
    assert text.replace("\u200d", "") == "a<|s|>b"


@settings(deadline=None)
@given(PIECES)
def test_pieces_come_back_from_another_process(pieces: list[str | Mark]) -> None:
    whole = merged(pieces)
    assert from_json(json.loads(json.dumps(as_json(whole)))) == whole


@pytest.mark.parametrize("value", [None, 1, [], ["a", "b"], [1], {"a": 1}])
def test_what_is_no_piece_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no piece of a prompt"):
        from_json([value])
