"""Lines of an answer break between words, wherever the text is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.cli.word_wrap import WordWrap


def wrapped(pieces: list[str], columns: int) -> str:
    """Return all output, without white space at the ends of lines."""
    wrap = WordWrap(columns)
    text = "".join([*map(wrap.feed, pieces), wrap.end()])
    return "\n".join(line.rstrip(" ") for line in text.split("\n"))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", "one two\nthree"),
        ("one two", "one two"),
        ("extraordinary", "extraordinary"),
        ("an extraordinary one", "an\nextraordinary\none"),
        ("one\n\n  two", "one\n\n  two"),
    ],
)
def test_a_line_breaks_between_words(text: str, lines: str) -> None:
    """The terminal has eight columns."""
    assert wrapped([text], 8) == lines


@given(st.text("ab \n", max_size=60), st.integers(1, 12), st.integers(0, 60))
def test_the_cuts_do_not_matter_and_nothing_is_lost(text: str, columns: int, cut: int) -> None:
    """Only white space changes."""
    whole = wrapped([text], columns)
    assert wrapped([text[:cut], text[cut:]], columns) == whole
    assert wrapped(list(text), columns) == whole
    assert whole.split() == text.split()
    assert all(len(line) <= columns or " " not in line.strip() for line in whole.split("\n"))
