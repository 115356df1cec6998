"""JSON arrays and base64 become C arrays."""

from __future__ import annotations

import base64
import math
import struct
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FLOATS

from rkllm_twisted.abi.arrays import to_array
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.values import FloatArray

#: Bit patterns with a highest byte of 7F or FF: the largest floats, the infinities, NaNs.
EDGES = st.integers(0, 1).map(lambda sign: sign << 31 | 0x7F000000)
EDGE_BITS = st.builds(lambda edge, low: edge | low, EDGES, st.integers(0, 0xFFFFFF))


def packed(data: bytes, shape: list[int], dtype: str = "<f4") -> dict[str, Any]:
    """Return the base64 form of an array."""
    return {"base64": base64.b64encode(data).decode(), "dtype": dtype, "shape": shape}


@given(st.lists(FLOATS, max_size=50))
def test_a_list_of_floats(values: list[float]) -> None:
    """Each number reaches C bit for bit."""
    expected = struct.pack(f"<{len(values)}f", *values)
    assert to_array("x", values, "float").tobytes() == expected
    assert to_array("x", packed(expected, [len(values)]), "float").tobytes() == expected
    assert to_array("x", FloatArray(expected, (1, len(values))), "float").tobytes() == expected


def test_whole_numbers_are_floats_too() -> None:
    """A client may write 1 for 1.0."""
    assert to_array("x", [1, -2], "float").tolist() == [1.0, -2.0]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=50))
def test_a_list_of_whole_numbers(values: list[int]) -> None:
    """Token ids reach C unchanged, as a list or as base64."""
    assert to_array("x", values, "int32_t").tolist() == values
    data = struct.pack(f"<{len(values)}i", *values)
    assert to_array("x", packed(data, [len(values)], "<i4"), "int32_t").tolist() == values


def test_rows_are_joined() -> None:
    """Nested lists are rows, at any depth."""
    assert to_array("x", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], "float").tolist() == [*range(1, 9)]


@pytest.mark.parametrize(
    ("value", "base", "what"),
    [
        ("abc", "float", "must be an array of numbers"),
        (5, "int32_t", "must be an array of whole numbers"),
        (None, "float", "not null"),
        ([1, "2"], "float", r"x\[1\]: .* number 1 is a string"),
        ([1, True], "float", "number 1 is a boolean"),
        ([1, None], "float", "number 1 is null"),
        ([1, 2.5], "int32_t", "number 1 is a number with a fraction"),
        ([2**31], "int32_t", "too large"),
        ([[1]], "int32_t", "number 0 is an array"),
        ([[1, 2], [3]], "float", "rows of different lengths"),
        ([[1], 2], "float", "rows of different lengths"),
        ([1, [2]], "float", "number 1 is an array"),
        ([[[[[[[[[1]]]]]]]]], "float", "nested more than 8 deep"),
        ([0.5, math.inf], "float", r"x\[1\]: must be finite"),
        ([math.nan], "float", r"x\[0\]: must be finite"),
        ([1e39], "float", r"x\[0\]: must be finite"),
        ([10**400], "float", "too large"),
        ({}, "float", "exactly base64, dtype and shape"),
        ({**packed(b"", []), "more": 1}, "float", "exactly base64, dtype and shape"),
        (packed(b"abcd", [1], "<f8"), "float", r"x\.dtype: must be '<f4'"),
        (packed(b"abcd", [1], "<f4"), "int32_t", r"x\.dtype: must be '<i4'"),
        (packed(b"abcd", [2]), "float", r"holds 4 bytes, but the shape \[2\] takes 8"),
        (packed(b"abcd", [-1]), "float", r"x\.shape"),
        (packed(b"abcd", [True]), "float", r"x\.shape"),
        (packed(b"abcd", [1 << 32]), "float", r"x\.shape: .* 32 bits"),
        (packed(b"abcd", [1] * 9), "float", r"x\.shape: has more than 8"),
        ({**packed(b"", [0]), "base64": "\ud800AAA"}, "float", "is not base64"),
        ({**packed(b"", [0]), "shape": 4}, "float", r"x\.shape"),
        ({**packed(b"", [0]), "base64": 4}, "float", r"x\.base64: must be a string"),
        ({**packed(b"", [1]), "base64": "abc"}, "float", "is not base64"),
        ({**packed(b"", [1]), "base64": "ab*+/A=="}, "float", "is not base64"),
        ({**packed(b"", [1]), "base64": "AAAA AAA="}, "float", "is not base64"),
        ({**packed(b"", [1]), "base64": "ÄAAAAA=="}, "float", "is not base64"),
        (packed(struct.pack("<2f", 0, math.nan), [2]), "float", r"x\[1\]: must be finite"),
    ],
)
def test_what_is_no_array(value: Any, base: str, what: str) -> None:
    """The error names the path, and the wrong element if there is one."""
    with pytest.raises(InvalidParams, match=what):
        to_array("x", value, base)


@given(st.lists(EDGE_BITS, min_size=1, max_size=4), st.lists(FLOATS, max_size=4))
def test_what_is_not_finite_is_found_among_the_largest(
    bits: list[int], others: list[float]
) -> None:
    """An infinity or NaN is refused wherever it stands, and a large finite float is accepted."""
    numbers = array("I", bits)
    data = numbers.tobytes() + struct.pack(f"<{len(others)}f", *others)
    value = packed(data, [len(bits) + len(others)])
    floats = struct.unpack(f"<{len(bits)}f", numbers.tobytes())
    if all(map(math.isfinite, floats)):
        assert to_array("x", value, "float").tobytes() == data
    else:
        with pytest.raises(InvalidParams, match="must be finite"):
            to_array("x", value, "float")
