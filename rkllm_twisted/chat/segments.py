"""A prompt in pieces: the model's control tokens, and text that is never read as one of them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from rkllm_twisted.chat.marks import Marks

#: An invisible character. Inside a mark's text it keeps the text from being read as the mark.
ZERO_WIDTH_JOINER = "\u200d"


@attrs.frozen
class Mark:
    """A control token, given by its text."""

    text: str


#: The pieces in order. A str never holds a control token, is never empty, and never follows a str.
Pieces = tuple[str | Mark, ...]


def merged(pieces: Iterable[str | Mark]) -> Pieces:
    """Join neighbouring texts and drop empty ones, so that equal prompts have equal pieces."""
    made: list[str | Mark] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        if text := "".join(texts):
            made.append(text)
        texts = []
        made.append(piece)
    if text := "".join(texts):
        made.append(text)
    return tuple(made)


def text_of(pieces: Pieces) -> str:
    """Return the pieces as one text, in which marks look like any other text."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces)


def as_json(pieces: Pieces) -> list[object]:
    """Return the pieces as JSON values for another process. A mark is an array with its text."""
    return [piece if isinstance(piece, str) else [piece.text] for piece in pieces]


def from_json(values: Iterable[object]) -> Pieces:
    """Return the pieces for the JSON values that :func:`as_json` returned.

    :raises ValueError: a value is not a piece.
    """
    return merged(_piece(value) for value in values)


def _piece(value: object) -> str | Mark:
    match value:
        case str():
            return value
        case [str(text)]:
            return Mark(text)
        case _:
            raise ValueError(f"{value!r} is no piece of a prompt")


def after(beginning: Pieces, whole: Pieces) -> Pieces | None:
    """Return the pieces after a beginning, or None if the whole has another beginning."""
    if not beginning:
        return whole
    last = len(beginning) - 1
    if whole[:last] != beginning[:last] or len(whole) <= last:
        return None
    end, same = beginning[last], whole[last]
    if end == same:
        return whole[last + 1 :]
    if isinstance(end, str) and isinstance(same, str) and same.startswith(end):
        return (same[len(end) :], *whole[last + 1 :])
    return None


def split_marks(text: str, marks: Iterable[str]) -> Pieces:
    """Return the pieces of a trusted text, such as a family's prefix. Marks in it are marks."""
    looked_for, pieces, rest = Marks(marks), list[str | Mark](), text
    while True:
        found = looked_for.search(rest, more=False)
        pieces.append(found.before)
        if found.mark is None:
            return merged(pieces)
        pieces.append(Mark(found.mark))
        rest = found.rest


def broken_up(text: str, marks: Iterable[str]) -> str:
    """Return a text without whole marks, for a place where the runtime would read them as tokens.

    An invisible joiner is put behind the first character of each mark.
    """
    for mark in marks:
        text = text.replace(mark, f"{mark[0]}{ZERO_WIDTH_JOINER}{mark[1:]}")
    return text
