"""A repeated prompt is saved, and restored when another prompt begins with it."""

from __future__ import annotations

from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.saved_prompts import (
    ComingBack,
    SavedPrompt,
    best_match,
    prompt_name,
    to_drop,
)
from rkllm_twisted.chat.trail import CacheKey

OWNER = CacheKey("m", None, Tier.TOKENS)
LORA = CacheKey("m", "lora", Tier.TOKENS)


def saved(*tokens: int, owner: CacheKey = OWNER, size: int = 10, used: int = 0) -> SavedPrompt:
    return SavedPrompt(prompt_name(owner, tokens), owner, tokens, size, used)


def test_a_name_is_of_a_model_an_adapter_and_tokens() -> None:
    names = {prompt_name(OWNER, (1, 2)), prompt_name(LORA, (1, 2)), prompt_name(OWNER, (1, 3))}
    assert len(names) == 3
    assert prompt_name(OWNER, (1, 2)) in names


def test_the_longest_beginning_is_restored() -> None:
    files = [saved(1), saved(1, 2), saved(1, 2, 3), saved(2), saved(1, 2, owner=LORA)]
    assert best_match(files, OWNER, (1, 2, 3)) == files[1]
    assert best_match(files, OWNER, (9,)) is None
    assert best_match(files, LORA, (1, 2, 3)) == files[4]


def test_the_longest_unused_goes_first() -> None:
    old, new, big = saved(1, used=1), saved(2, used=2), saved(3, size=30, used=3)
    assert to_drop([old, new, big], 50) == ()
    assert to_drop([old, new, big], 40) == (old,)
    assert to_drop([old, new, big], 20) == (big,)


def test_a_prompt_is_saved_when_it_comes_back_and_took_long() -> None:
    seen = ComingBack(limit=2)
    assert not seen.is_worth_saving("a", 5000)
    assert not seen.is_worth_saving("a", 900)
    assert seen.is_worth_saving("a", 1100)
    seen.is_worth_saving("b", 5000)
    seen.is_worth_saving("c", 5000)
    assert not seen.is_worth_saving("a", 5000), "two are remembered"
