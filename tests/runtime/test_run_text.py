"""The text of a run survives being cut in the middle of a character."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.runtime.run_text import RunText

TEXT = "aé€😀\U0010ffff"


@given(st.text(st.characters(codec="utf-8")), st.lists(st.integers(1, 7)))
def test_whole_byte_by_byte_and_in_between(text: str, cuts: list[int]) -> None:
    """The parts make the text for any split of the bytes into NORMAL callbacks."""
    data = text.encode()
    pieces = []
    for size in [*cuts, *[1] * len(data)]:
        pieces.append(data[:size])
        data = data[size:]
    run = RunText()
    parts = [run.normal(piece) for piece in pieces]
    parts.append(run.last(None))
    assert "".join(part or "" for part in parts) == text


def test_waiting_drops_what_is_not_complete() -> None:
    """A WAITING callback gives the characters that are whole, and nothing of the last."""
    assert RunText().waiting("a€".encode()[:-1]) == "a"
    assert RunText().waiting("a€".encode()) == "a€"
    assert RunText().waiting(None) is None


def test_the_whole_character_after_waiting() -> None:
    """A NORMAL callback that brings the whole character is given as it is."""
    run = RunText()
    assert run.waiting("€".encode()[:2]) == ""
    assert run.normal("€".encode()) == "€"


def test_the_rest_of_a_character_after_waiting() -> None:
    """A NORMAL callback that brings only the rest of the character completes it."""
    run = RunText()
    assert run.waiting("€".encode()[:2]) == ""
    assert run.normal("€".encode()[2:]) == "€"


def test_what_never_became_a_character() -> None:
    """An incomplete character becomes U+FFFD in the last result."""
    run = RunText()
    assert run.normal("€".encode()[:2]) == ""
    assert run.last(None) == "\ufffd"


def test_bytes_that_are_no_text() -> None:
    """Such bytes become U+FFFD at once, and the text goes on."""
    assert RunText().normal(b"a\xffb") == "a\ufffdb"


def test_no_text_is_not_an_empty_text() -> None:
    """NULL stays null."""
    run = RunText()
    assert run.normal(None) is None
    assert run.normal(b"") == ""
    assert run.last(None) is None
    assert RunText().last(b"") == ""
