"""Decides which prompts to save to files.

A prompt is saved if it comes back and took long to read. If the space is full, the prompt that was
unused for longest is dropped. Times are counts of turns, so no clock is needed. The caller reads
and writes the files.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

import attrs

from rkllm_twisted.chat.trail import CacheKey

#: In milliseconds. If a prompt was read faster than this, loading a file would take longer.
WORTH_SAVING_MS = 1000.0


def prompt_name(owner: CacheKey, tokens: tuple[int, ...]) -> str:
    """Return a name that only this model, adapter and prompt have: 64 hexadecimal digits."""
    digest = hashlib.sha256(repr((owner.model, owner.adapter)).encode())
    digest.update(array("q", tokens).tobytes())
    return digest.hexdigest()


@attrs.frozen
class SavedPrompt:
    """A prompt that was saved to a file.

    :param name: the name that :func:`prompt_name` returns.
    :param owner: the model and adapter of the prompt.
    :param tokens: the prompt's tokens.
    :param size: the file's size in bytes.
    :param used: the turn in which the file was last used.
    """

    name: str
    owner: CacheKey
    tokens: tuple[int, ...] = attrs.field(repr=lambda tokens: f"{len(tokens)} tokens")
    size: int
    used: int


def best_match(
    saved: Iterable[SavedPrompt], owner: CacheKey, tokens: tuple[int, ...]
) -> SavedPrompt | None:
    """Return the longest saved prompt that is the beginning of another prompt, or None.

    The saved prompt is shorter than the other, so that at least one token is left to read.
    """
    fitting = (
        one
        for one in saved
        if one.owner == owner
        and len(one.tokens) < len(tokens)
        and tokens[: len(one.tokens)] == one.tokens
    )
    return max(fitting, key=lambda one: len(one.tokens), default=None)


def to_drop(saved: Iterable[SavedPrompt], limit: int) -> tuple[SavedPrompt, ...]:
    """Return the prompts whose files are to be deleted, so that the others fit a limit.

    The prompts that were used most recently are kept first.

    :param limit: the limit for all files together, in bytes.
    """
    kept, dropped = 0, []
    for one in sorted(saved, key=lambda one: (-one.used, one.name)):
        kept += one.size
        if kept > limit:
            kept -= one.size
            dropped.append(one)
    return tuple(dropped)


class ComingBack:
    """Remembers which prompts were read, to notice a prompt that comes back.

    :param limit: how many prompts are remembered.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._seen: dict[str, None] = {}  # the newest last

    def is_worth_saving(self, name: str, prefill_ms: float) -> bool:
        """Take note of a prompt that was read. True if it came back and took long to read."""
        came_back = name in self._seen
        self._seen.pop(name, None)
        self._seen[name] = None
        if len(self._seen) > self._limit:
            self._seen.pop(next(iter(self._seen)))
        return came_back and prefill_ms > WORTH_SAVING_MS
