"""A repeated prompt is saved, and restored when another prompt begins with it."""

from __future__ import annotations

import pytest

from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.prompt_index import PromptIndex
from rkllm_twisted.chat.saved_prompts import (
    MAX_SLOWER,
    Benefit,
    ComingBack,
    SavedPrompt,
    best_match,
    to_drop,
)
from rkllm_twisted.chat.trail import CacheKey

OWNER = CacheKey("m", None, Tier.TOKENS)
LORA = CacheKey("m", "lora", Tier.TOKENS)
OTHER = CacheKey("n", None, Tier.TOKENS)


def saved(*tokens: int, owner: CacheKey = OWNER, size: int = 10, used: int = 0) -> SavedPrompt:
    return SavedPrompt(f"/{owner.adapter}{tokens}", owner, tokens, size, used, saving_ms=100)


def test_the_longest_beginning_is_restored() -> None:
    files = [saved(1), saved(1, 2), saved(1, 2, 3), saved(2), saved(1, 2, owner=LORA)]
    assert best_match(files, OWNER, (1, 2, 3)) == files[1]
    assert best_match(files, OWNER, (2, 9, 9)) == files[3]
    assert best_match(files, OWNER, (9, 9, 9)) is None
    assert best_match(files, LORA, (1, 2, 3)) == files[4]


def test_the_longest_unused_goes_first() -> None:
    old, new, big = saved(1, used=1), saved(2, used=2), saved(3, size=30, used=3)
    assert to_drop([old, new, big], 50) == ()
    assert to_drop([old, new, big], 40) == (old,)
    assert to_drop([old, new, big], 20) == (big,)


def test_a_prompt_comes_back_if_its_beginning_was_read() -> None:
    seen = ComingBack(limit=2)
    assert not seen.has_beginning_of(OWNER, (1, 2))
    seen.add(OWNER, (1, 2))
    assert seen.has_beginning_of(OWNER, (1, 2))
    assert seen.has_beginning_of(OWNER, (1, 2, 3))
    assert not seen.has_beginning_of(OWNER, (1,))
    assert not seen.has_beginning_of(LORA, (1, 2))
    seen.add(OWNER, (3,))
    seen.add(OWNER, (4,))
    assert not seen.has_beginning_of(OWNER, (1, 2)), "two are remembered"


def test_restoring_is_faster_if_saving_and_restoring_together_are() -> None:
    for restoring_ms, is_faster in ((49, True), (51, False)):
        benefit = Benefit()
        # Reading takes 10 ms for a token, so 50 of the 100 ms were for saving.
        benefit.has_tried(saved(1, 2, 3, 4, 5), restoring_ms, 10, 100)
        assert benefit.is_faster == is_faster


def test_restoring_is_given_up_if_it_is_slower_several_times_in_a_row() -> None:
    benefit = Benefit(ms_per_token=1, is_faster=True)
    for ms in [11, 9] * MAX_SLOWER + [11] * (MAX_SLOWER - 1):
        benefit.has_restored(10, ms)
        assert benefit.is_faster
    benefit.has_restored(10, 11)
    assert not benefit.is_faster


@pytest.fixture
def index() -> PromptIndex:
    index = PromptIndex(limit=25, worth_ms=1000)
    index.benefit(OWNER).has_read(1, 400)
    index.has_read(OWNER, (1, 2))
    return index


def test_a_prompt_is_worth_saving_if_it_comes_back_and_takes_long(index: PromptIndex) -> None:
    assert index.is_worth_saving(OWNER, (1, 2, 3))
    assert not index.is_worth_saving(OWNER, (1, 2)), "it is read in 800 ms"
    assert not index.is_worth_saving(OWNER, (1, 2, 3), held=1), "the rest is"
    assert not index.is_worth_saving(OWNER, (2, 2, 3)), "it was not read before"
    assert not index.is_worth_saving(OTHER, (1, 2, 3)), "nothing is known of the model"


def test_a_prompt_that_would_fill_all_the_space_is_not_saved(index: PromptIndex) -> None:
    index.add(saved(1, size=10))
    assert not index.is_worth_saving(OWNER, (1, 2, 3))


def test_the_prompt_that_was_used_last_is_kept(index: PromptIndex) -> None:
    one, two, three = saved(1), saved(2), saved(3)
    index.add(one), index.add(two)
    index.use(one)
    assert index.add(three) == [two.path]
    assert index.match(OWNER, (1, 9)) is not None
    assert index.match(OWNER, (2, 9)) is None


def test_a_model_without_benefit_has_no_saved_prompts(index: PromptIndex) -> None:
    mine, other = saved(1, owner=LORA), saved(1, owner=OTHER)
    index.add(mine), index.add(other)
    assert index.give_up(OWNER) == [mine.path]
    assert index.match(OWNER, (1, 2)) is None
    assert not index.is_worth_saving(OWNER, (1, 2, 3))
    assert index.match(OTHER, (1, 2)) is not None
