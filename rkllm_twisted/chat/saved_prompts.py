"""Decides which prompts to save to files, and whether that is faster than reading them.

A prompt is saved if it comes back and takes long to read. If the space is full, the prompt that was
unused for longest is dropped. Times are given by the caller, which reads and writes the files.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable

import attrs

from rkllm_twisted.chat.trail import CacheKey

#: In milliseconds. If a prompt is read faster than this, loading a file would take longer.
WORTH_SAVING_MS = 1000.0
#: After so many restored prompts in a row that took longer than reading them, no more is saved.
MAX_SLOWER = 2

Tokens = tuple[int, ...]


@attrs.frozen
class SavedPrompt:
    """A prompt that was saved to a file.

    :param path: the file.
    :param owner: the model and adapter of the prompt.
    :param tokens: the prompt's tokens.
    :param size: the file's size in bytes.
    :param used: the number of the run that used the file last.
    :param saving_ms: how long the run took that saved it, without the time for writing the answer.
    :param stamp: shows whether the file is as it was written.
    """

    path: str
    owner: CacheKey
    tokens: Tokens = attrs.field(repr=lambda tokens: f"{len(tokens)} tokens")
    size: int
    used: int
    saving_ms: float = 0.0
    stamp: object = None


def best_match(saved: Iterable[SavedPrompt], owner: CacheKey, tokens: Tokens) -> SavedPrompt | None:
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
    for one in sorted(saved, key=lambda one: (-one.used, one.path)):
        kept += one.size
        if kept > limit:
            kept -= one.size
            dropped.append(one)
    return tuple(dropped)


class ComingBack:
    """Remembers which prompts were read whole, to notice a prompt that comes back.

    :param limit: how many prompts are remembered.
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._seen: OrderedDict[tuple[CacheKey, bytes], None] = OrderedDict()  # the newest last

    def add(self, owner: CacheKey, tokens: Tokens) -> None:
        """Record a prompt that was read."""
        key = (owner, _packed(tokens))
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)

    def has_beginning_of(self, owner: CacheKey, tokens: Tokens) -> bool:
        """True if a prompt was read that is the beginning of another prompt, or equal to it."""
        whole = _packed(tokens)
        return any(one == owner and whole.startswith(packed) for one, packed in self._seen)


def _packed(tokens: Tokens) -> bytes:
    return array("q", tokens).tobytes()


@attrs.define
class Benefit:
    """Measurements with one model: the times for reading, and for saving and restoring.

    :ivar ms_per_token: the time for reading a token, as last measured; None before that.
    :ivar is_faster: True if saving and restoring is faster than reading; None if not yet known.
    """

    ms_per_token: float | None = None
    is_faster: bool | None = None
    _slower: int = 0

    def has_read(self, tokens: int, ms: float) -> None:
        """Record a prompt that was read whole."""
        self.ms_per_token = ms / tokens

    def expected_ms(self, tokens: int) -> float:
        """Return how long it takes to read so many tokens; 0 if that is unknown."""
        return tokens * (self.ms_per_token or 0.0)

    def has_tried(
        self, saved: SavedPrompt, restoring_ms: float, tokens: int, reading_ms: float
    ) -> None:
        """Compare two ways to the first token of the same prompt.

        :param restoring_ms: the time with the saved prompt.
        :param tokens: how many tokens the prompt has.
        :param reading_ms: the time without.
        """
        self.has_read(tokens, reading_ms)
        saving_ms = max(0.0, saved.saving_ms - self.expected_ms(len(saved.tokens)))
        self.is_faster = saving_ms + restoring_ms < reading_ms

    def has_restored(self, tokens: int, ms: float) -> None:
        """Record the time to the first token of a prompt that was restored."""
        self._slower = self._slower + 1 if ms >= self.expected_ms(tokens) else 0
        if self._slower >= MAX_SLOWER:
            self.is_faster = False
