"""Rows of several outputs go to the model token by token."""

from __future__ import annotations

import re

import pytest

from rkllm_twisted.vision.rows import interleaved


def test_one_output_stays_as_it_is() -> None:
    assert interleaved([memoryview(b"aabbcc")], 3) == b"aabbcc"


def test_each_token_has_the_rows_of_all_outputs() -> None:
    assert interleaved([b"aabb", bytearray(b"1122"), b"xy"], 2) == b"aa11xbb22y"


def test_floats_are_taken_as_bytes() -> None:
    words = memoryview(b"abcdefgh").cast("I")
    assert interleaved([words, b"12345678"], 2) == b"abcd1234efgh5678"


@pytest.mark.parametrize(("outputs", "tokens"), [([], 1), ([b""], 1), ([b"abc"], 2), ([b"ab"], 0)])
def test_outputs_without_so_many_rows_are_refused(outputs: list[bytes], tokens: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"do not hold {tokens} rows each")):
        interleaved(outputs, tokens)
