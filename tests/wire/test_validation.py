"""A message without the contents of its long strings has the same structure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.wire import validation
from rkllm_twisted.wire.validation import LONG_STRING_BYTES, without_long_strings

#: Longer than what is left alone, whatever the place in the text.
LONG = 2 * LONG_STRING_BYTES + 1
#: Texts that are long only when repeated; some are no base64 at all.
SEEDS = st.sampled_from(["A", "é", " ", ",", ":", "]", "\\", '"', "x{", "0,1]", "/+", "A\\", '"A'])
STRINGS = st.builds(
    lambda seed, times: seed * times, SEEDS, st.sampled_from([1, LONG_STRING_BYTES, LONG])
)
VALUES = st.recursive(
    STRINGS | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=6,
)


def shape(value: Any) -> Any:
    """The structure and the members' names, without the contents of strings."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return str if isinstance(value, str) else value


# Values this long are what is tested.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_the_structure_is_the_same(value: Any, ascii_only: bool, indent: int | None) -> None:
    """The shortened message is JSON with the same members and the same types."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    bones = without_long_strings(text)
    assert shape(json.loads(bones)) == shape(value)
    assert len(bones) <= len(text)


@pytest.mark.parametrize("before", [0, 1, LONG_STRING_BYTES - 1, LONG_STRING_BYTES, LONG])
def test_base64_is_left_out(before: int) -> None:
    """The strings may be anywhere, in any number."""
    value = {"pad": [0] * before, "a": "A" * LONG, "b": ["B" * LONG, 5, "C" * LONG]}
    text = json.dumps(value).encode()
    assert len(without_long_strings(text)) < len(text) - 3 * LONG + 10


@pytest.mark.parametrize("text", [b"", b"{}", b'"a"', b"[" + b"1," * LONG + b"1]", b'"a' * 9])
def test_other_texts_stay_as_they_are(text: bytes) -> None:
    """Short texts, and long ones without long strings, are not copied."""
    assert without_long_strings(text) is text


@pytest.mark.parametrize("space", [b"", b" ", b"\n" * LONG])
def test_long_names_are_still_compared(space: bytes) -> None:
    """Long names that differ in the middle are accepted, and equal ones are refused."""
    first, second = b"A" * LONG + b"1" + b"A" * LONG, b"A" * LONG + b"2" + b"A" * LONG
    pattern = b'{"%b"' + space + b':1,"%b"' + space + b":2}"
    assert validation.repeated_member(without_long_strings(pattern % (first, second))) is None
    assert (
        validation.repeated_member(without_long_strings(pattern % (first, first))) == first.decode()
    )
