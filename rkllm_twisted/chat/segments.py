"""The pieces of a prompt: the model's control tokens, and text without control tokens."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from rkllm_twisted.chat.marks import Marks

#: Breaks up a text that would count as a mark; it is invisible.
ZERO_WIDTH_JOINER = "\u200d"


@attrs.frozen
class Mark:
    """A control token, by its text."""

    text: str


#: In order; a str is letters only. Two neighbours are never both str, and no str is empty.
Pieces = tuple[str | Mark, ...]


def merged(pieces: Iterable[str | Mark]) -> Pieces:
    """Return the pieces in the form that equal prompts share."""
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
    """Return the pieces as one text for people."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces)


def as_json(pieces: Pieces) -> list[object]:
    """Return the pieces as JSON values, for another process: texts, and marks in brackets."""
    return [piece if isinstance(piece, str) else [piece.text] for piece in pieces]


def from_json(values: Iterable[object]) -> Pieces:
    """Return the pieces of the JSON values from :func:`as_json`.

    :raises ValueError: the values are no pieces.
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
    """Return the pieces after a beginning; None if the whole does not begin with it."""
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
    """Return a text of the model's own, such as a family's prefix, in pieces."""
    looked_for, pieces, rest = Marks(marks), list[str | Mark](), text
    while True:
        found = looked_for.search(rest, more=False)
        pieces.append(found.before)
        if found.mark is None:
            return merged(pieces)
        pieces.append(Mark(found.mark))
        rest = found.rest


def broken_up(text: str, marks: Iterable[str]) -> str:
    """Return a text in which no mark is whole, for a place where marks in text would count.

    An invisible joiner follows the first character of each mark.
    """
    for mark in marks:
        text = text.replace(mark, f"{mark[0]}{ZERO_WIDTH_JOINER}{mark[1:]}")
    return text
