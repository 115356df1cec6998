"""Knows which prompts are saved, and decides which others will be. Pure."""

from __future__ import annotations

from collections import defaultdict
from itertools import count

import attrs

from rkllm_twisted.chat.saved_prompts import (
    WORTH_SAVING_MS,
    Benefit,
    ComingBack,
    SavedPrompt,
    best_match,
    to_drop,
)
from rkllm_twisted.chat.trail import CacheKey


class PromptIndex:
    """The saved prompts, and what was measured.

    :param limit: the limit for all files together, in bytes.
    :param worth_ms: see :data:`WORTH_SAVING_MS`.
    """

    def __init__(self, limit: int, worth_ms: float = WORTH_SAVING_MS) -> None:
        self._limit = limit
        self._worth_ms = worth_ms
        self._saved: dict[str, SavedPrompt] = {}
        self._seen = ComingBack()
        self._benefits: defaultdict[str, Benefit] = defaultdict(Benefit)
        self._token_bytes = 0.0
        self._uses = count(1)

    def benefit(self, owner: CacheKey) -> Benefit:
        """Return what was measured with a model."""
        return self._benefits[owner.model]

    def match(self, owner: CacheKey, tokens: tuple[int, ...]) -> SavedPrompt | None:
        """Return the saved prompt that a prompt can begin with, if that is not known to be slow."""
        if self.benefit(owner).is_faster is False:
            return None
        return best_match(self._saved.values(), owner, tokens)

    def is_worth_saving(self, owner: CacheKey, tokens: tuple[int, ...], held: int = 0) -> bool:
        """True if a prompt has come back, and takes long to read.

        :param held: how many of its tokens are restored and need not be read.
        """
        benefit = self.benefit(owner)
        return (
            benefit.is_faster is not False
            and benefit.expected_ms(len(tokens) - held) > self._worth_ms
            and len(tokens) * self._token_bytes <= self._limit
            and self._seen.has_beginning_of(owner, tokens)
        )

    def has_read(self, owner: CacheKey, tokens: tuple[int, ...]) -> None:
        """Record a prompt that was read, at least its end."""
        self._seen.add(owner, tokens)

    def add(self, saved: SavedPrompt) -> list[str]:
        """Add a saved prompt.

        :returns: the files to remove.
        """
        self._token_bytes = saved.size / len(saved.tokens)
        self._saved[saved.path] = attrs.evolve(saved, used=next(self._uses))
        return [self.forget(one) for one in to_drop(self._saved.values(), self._limit)]

    def use(self, saved: SavedPrompt) -> None:
        """Record that a saved prompt was restored."""
        if saved.path in self._saved:
            self._saved[saved.path] = attrs.evolve(saved, used=next(self._uses))

    def forget(self, saved: SavedPrompt) -> str:
        """Remove a saved prompt.

        :returns: the file to remove.
        """
        self._saved.pop(saved.path, None)
        return saved.path

    def give_up(self, owner: CacheKey) -> list[str]:
        """Save no more prompts of a model.

        :returns: the files to remove.
        """
        self.benefit(owner).is_faster = False
        mine = [one for one in self._saved.values() if one.owner.model == owner.model]
        return [self.forget(one) for one in mine]
