"""Which prompts are worth a file: saved once they come back, dropped when the space is full.

Times are counts of turns, so that there is no clock. The files are the caller's.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

import attrs

from rkllm_twisted.chat.trail import CacheKey

#: Milliseconds. What was read faster is read again faster than a file is loaded.
WORTH_SAVING_MS = 1000.0


def prompt_name(owner: CacheKey, tokens: tuple[int, ...]) -> str:
    """Return a name that no other model, adapter or prompt has: 64 hexadecimal digits."""
    digest = hashlib.sha256(repr((owner.model, owner.adapter)).encode())
    digest.update(array("q", tokens).tobytes())
    return digest.hexdigest()


@attrs.frozen
class SavedPrompt:
    """A prompt of which there is a file.

    :param name: see :func:`prompt_name`.
    :param size: of the file, bytes.
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
    """Return the longest saved one that a prompt begins with and that leaves a token to read."""
    fitting = (
        one
        for one in saved
        if one.owner == owner
        and len(one.tokens) < len(tokens)
        and tokens[: len(one.tokens)] == one.tokens
    )
    return max(fitting, key=lambda one: len(one.tokens), default=None)


def to_drop(saved: Iterable[SavedPrompt], limit: int) -> tuple[SavedPrompt, ...]:
    """Return what has to go so that the files fit a limit, the longest unused first.

    :param limit: bytes.
    """
    kept, dropped = 0, []
    for one in sorted(saved, key=lambda one: (-one.used, one.name)):
        kept += one.size
        if kept > limit:
            kept -= one.size
            dropped.append(one)
    return tuple(dropped)


class ComingBack:
    """Remembers which prompts have been read, to know one that comes back.

    :param limit: how many are remembered.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._seen: dict[str, None] = {}  # the newest last

    def is_worth_saving(self, name: str, prefill_ms: float) -> bool:
        """Take note of a prompt that was read; True if it came back and took long."""
        came_back = name in self._seen
        self._seen.pop(name, None)
        self._seen[name] = None
        if len(self._seen) > self._limit:
            self._seen.pop(next(iter(self._seen)))
        return came_back and prefill_ms > WORTH_SAVING_MS
