"""The settings of the choice, and the choice itself beside the embedded runtime's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.structured.picker import NothingAllowedError, Picker
from rkllm_twisted.structured.sampling import SamplingSettings, SplitMix, read_sampling


def mask_of(size: int, *allowed: int) -> bytearray:
    mask = bytearray(-(-size // 32) * 4)
    for token in allowed:
        mask[token // 8] |= 1 << token % 8
    return mask


def pick(row: Any, *allowed: int, recent: Any = (), seed: int = 1, **how: Any) -> int:
    values = np.asarray(row, np.float32)
    picker = Picker(SamplingSettings(**how), seed)
    return picker.pick(values, picker.allowed(mask_of(len(values), *allowed)), recent)


def test_the_likeliest_of_the_allowed_is_taken() -> None:
    assert pick([5, 1, 3, 2], 1, 2, 3) == 2


def test_of_equal_ones_the_first_is_taken() -> None:
    assert pick([0, 2, 2], 1, 2) == 1


def test_a_row_with_more_columns_than_tokens_has_padding() -> None:
    row = np.asarray([0, 1, 99], np.float32)
    picker = Picker(SamplingSettings(), 1)
    assert picker.pick(row, picker.allowed(mask_of(2, 0, 1)), ()) == 1


def test_a_row_with_fewer_columns_than_tokens_lacks_the_last() -> None:
    picker, row = Picker(SamplingSettings(), 1), np.asarray([1], np.float32)
    assert picker.pick(row, picker.allowed(mask_of(9, 0, 8)), ()) == 0


def test_nothing_allowed_is_an_error() -> None:
    with pytest.raises(NothingAllowedError):
        pick([1, 2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_does_no_harm(bad: float) -> None:
    assert pick([bad, 1, 2], 1, 2) == 2
    assert pick([bad, 1], 0, 1) == (0 if bad == np.inf else 1)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"repeat_penalty": 2.0}, 1),
        ({"frequency_penalty": 1.0}, 1),
        ({"presence_penalty": 1.5}, 1),
        ({"frequency_penalty": 0.4}, 0),
    ],
)
def test_tokens_that_have_come_are_penalised(how: dict[str, float], expected: int) -> None:
    assert pick([3, 2, 0], 0, 1, recent=(0, 0, 7), **how) == expected


def test_a_negative_score_is_not_made_likelier() -> None:
    assert pick([-1, -1.5], 0, 1, recent=(0,), repeat_penalty=2.0) == 1


def test_the_row_is_left_as_it_was() -> None:
    row = np.asarray([3, 2], np.float32)
    picker = Picker(SamplingSettings(repeat_penalty=2.0), 1)
    picker.pick(row, picker.allowed(mask_of(2, 0, 1)), (0,))
    assert row.tolist() == [3, 2]


@given(
    st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=40),
    st.integers(0, 9),
    st.floats(0.0625, 1, width=32),
    st.floats(0.125, 3, width=32),
    st.integers(0, 2),
)
def test_only_allowed_tokens_are_taken(
    row: list[float], top_k: int, top_p: float, temperature: float, mirostat: int
) -> None:
    allowed = range(0, len(row), 2)
    how = {"top_k": top_k, "top_p": top_p, "temperature": temperature, "mirostat": mirostat}
    for seed in range(3):
        assert pick(row, *allowed, seed=seed, **how) in allowed


def test_top_k_leaves_the_likeliest() -> None:
    row = [0.0, 3, 1, 2, 2.5]
    drawn = {pick(row, *range(5), seed=s, top_k=2, top_p=1.0, temperature=9.0) for s in range(99)}
    assert drawn == {1, 4}


@given(st.lists(st.integers(-2, 2), min_size=2, max_size=30), st.integers(1, 29), st.integers(0, 9))
def test_of_equal_ones_top_k_leaves_the_first(row: list[int], top_k: int, seed: int) -> None:
    left = sorted(range(len(row)), key=lambda one: -row[one])[:top_k]
    assert pick(row, *range(len(row)), seed=seed, top_k=top_k, top_p=1.0, temperature=99.0) in left


def test_top_p_leaves_what_it_takes_to_reach_it() -> None:
    row = np.log([0.1, 0.5, 0.4])
    drawn = {pick(row, *range(3), seed=s, top_k=0, top_p=0.8, temperature=1) for s in range(99)}
    assert drawn == {1, 2}


def test_equal_seeds_give_equal_numbers() -> None:
    """The first numbers of splitmix64 with the seed 1234567, of its author's test program."""
    random = SplitMix(1234567)
    expected = (6457827717110365317, 3203168211198807973, 9817491932198370423)
    assert [random.next() for _ in expected] == [(one >> 11) * 2.0**-53 for one in expected]


def test_the_request_goes_before_the_model_and_its_load() -> None:
    loaded = {"top_k": 40, "top_p": 0.5, "temperature": 0.1}
    sampling, seed = read_sampling(loaded, {"top_p": 0.6}, {"temperature": 0.2, "seed": 7})
    assert (sampling, seed) == (SamplingSettings(top_k=40, top_p=0.6, temperature=0.2), 7)
    assert read_sampling(loaded, {}, None)[1] is None


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"top_q": 1}, "sampling.top_q"),
        ({"top_k": 1.5}, "sampling.top_k"),
        ({"top_k": True}, "sampling.top_k"),
        ({"top_p": 2}, "sampling.top_p"),
        ({"temperature": -1}, "sampling.temperature"),
        ({"temperature": float("nan")}, "sampling.temperature"),
        ({"seed": -1}, "sampling.seed"),
        ({"mirostat": 3}, "sampling.mirostat"),
    ],
)
def test_a_wrong_setting_is_named(asked: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_sampling({}, {}, asked)
    assert caught.value.data == {"parameter": place}
