"""Saved prompts, usage, answers as values, and fill-in-the-middle."""

from __future__ import annotations

import pytest

from rkllm_twisted.chat.families import InfillMarks
from rkllm_twisted.chat.infill import infill
from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.saved_prompts import (
    ComingBack,
    SavedPrompt,
    best_match,
    prompt_name,
    to_drop,
)
from rkllm_twisted.chat.segments import Mark
from rkllm_twisted.chat.trail import CacheKey
from rkllm_twisted.chat.usage import Usage, usage_of
from rkllm_twisted.errors import InvalidParams

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


def test_usage_is_the_runtimes_figures_and_what_was_cached() -> None:
    perf = {
        "prefill_time_ms": 20.5,
        "prefill_tokens": 8,
        "generate_time_ms": 90,
        "generate_tokens": 7,
    }
    usage = usage_of(perf, cached=100, reading=None, written=6, reasoning=3)
    assert usage == Usage(108, 100, 7, 3, 20.5, 90.0)
    assert usage.total_tokens == 115


def test_usage_without_the_runtimes_figures_is_counted() -> None:
    assert usage_of(None, cached=0, reading=9, written=5) == Usage(9, 0, 5)
    assert Usage(1, 0, 2, 0, 0.5) + Usage(1, 1, 1) == Usage(2, 1, 3, 0, 0.5)


def test_what_is_between_two_texts_is_asked_in_the_models_marks() -> None:
    marks = InfillMarks("<p>", "<s>", "<m>")
    assert infill(marks, "a<s>", "b") == (Mark("<p>"), "a<s>", Mark("<s>"), "b", Mark("<m>"))
    first = InfillMarks("[PREFIX]", "[SUFFIX]", suffix_first=True)
    assert infill(first, "a", "b") == (Mark("[SUFFIX]"), "b", Mark("[PREFIX]"), "a")


def test_without_marks_there_is_nothing_to_fill_in() -> None:
    assert infill(None, "a", "") == ("a",)
    with pytest.raises(InvalidParams, match="leave suffix out"):
        infill(None, "a", "b")
