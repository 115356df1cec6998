"""Selects the prompts to save: those that come back. Drops saved ones when the space is full.

Times are counts of turns, so no clock is needed. The caller owns the files.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

import attrs

from rkllm_twisted.chat.trail import CacheKey

#: Milliseconds. The runtime reads a faster prompt again in less time than it loads a file.
WORTH_SAVING_MS = 1000.0


def prompt_name(owner: CacheKey, tokens: tuple[int, ...]) -> str:
    """Return a name that no other model, adapter or prompt has: 64 hexadecimal digits."""
    digest = hashlib.sha256(repr((owner.model, owner.adapter)).encode())
    digest.update(array("q", tokens).tobytes())
    return digest.hexdigest()


@attrs.frozen
class SavedPrompt:
    """A prompt with a file.

    :param name: see :func:`prompt_name`.
    :param size: the size of the file in bytes.
    :param used: the turn of its last use.
    """

    name: str
    owner: CacheKey
    tokens: tuple[int, ...] = attrs.field(repr=lambda tokens: f"{len(tokens)} tokens")
    size: int
    used: int


def best_match(
    saved: Iterable[SavedPrompt], owner: CacheKey, tokens: tuple[int, ...]
) -> SavedPrompt | None:
    """Return the longest saved prompt that a prompt begins with and that leaves a token to read."""
    fitting = (
        one
        for one in saved
        if one.owner == owner
        and len(one.tokens) < len(tokens)
        and tokens[: len(one.tokens)] == one.tokens
    )
    return max(fitting, key=lambda one: len(one.tokens), default=None)


def to_drop(saved: Iterable[SavedPrompt], limit: int) -> tuple[SavedPrompt, ...]:
    """Return the prompts to drop so that the files fit a limit, the longest unused first.

    :param limit: the limit in bytes.
    """
    kept, dropped = 0, []
    for one in sorted(saved, key=lambda one: (-one.used, one.name)):
        kept += one.size
        if kept > limit:
            kept -= one.size
            dropped.append(one)
    return tuple(dropped)


class ComingBack:
    """Remembers the prompts that were read, to recognise one that comes back.

    :param limit: the number of prompts to remember.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._seen: dict[str, None] = {}  # the newest last

    def is_worth_saving(self, name: str, prefill_ms: float) -> bool:
        """Record a prompt that was read; return True if it came back and took long."""
        came_back = name in self._seen
        self._seen.pop(name, None)
        self._seen[name] = None
        if len(self._seen) > self._limit:
            self._seen.pop(next(iter(self._seen)))
        return came_back and prefill_ms > WORTH_SAVING_MS
