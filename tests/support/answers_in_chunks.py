"""Feeds parsers whole texts, single characters, and arbitrary pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, pairwise

from rkllm_twisted.chat.events import Event, joined
from rkllm_twisted.chat.parsing import AnswerParser, Reading


def parse(reading: Reading, chunks: Sequence[str], reason: str = "stop") -> list[Event]:
    """Return the joined events of an answer that comes in chunks."""
    numbers = count(1)
    parser = AnswerParser(reading, lambda: f"call_{next(numbers)}")
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return joined([*events, *parser.finish(reason)])


def cut(text: str, places: Sequence[int]) -> list[str]:
    """Return the text cut at some places."""
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(ends)]


def parse_every_way(reading: Reading, text: str, reason: str = "stop") -> list[Event]:
    """Return the events, which must be the same whole, by character and in pairs."""
    whole = parse(reading, [text], reason)
    assert parse(reading, list(text), reason) == whole
    for start in (1, 2):
        pairs = [text[:start], *(text[at : at + 3] for at in range(start, len(text), 3))]
        assert parse(reading, pairs, reason) == whole
    return whole
