"""One JSON value becomes one C value, or the error names its path."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.abi.scalars import int_range, to_bool, to_enum, to_float, to_int, to_string
from rkllm_twisted.errors import InvalidParams

MODES = {"GENERATE": 0, "LOGITS": 2}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_text_becomes_utf_8(text: str) -> None:
    """Any text without NUL reaches C."""
    assert to_string("x", text).decode("utf-8") == text


@pytest.mark.parametrize("value", ["a\0b", "\ud83d", 5, None, True, b"bytes", ["a"]])
def test_what_is_no_text(value: Any) -> None:
    """NUL, half a surrogate pair and other types are refused."""
    with pytest.raises(InvalidParams, match=r"^param\.role: "):
        to_string("param.role", value)


@pytest.mark.parametrize(
    ("base", "least", "greatest"),
    [
        ("int8_t", -128, 127),
        ("uint8_t", 0, 255),
        ("int32_t", -(2**31), 2**31 - 1),
        ("int", -(2**31), 2**31 - 1),
        ("uint32_t", 0, 2**32 - 1),
        ("size_t", 0, 2**64 - 1),
    ],
)
def test_whole_numbers_have_the_range_of_their_type(base: str, least: int, greatest: int) -> None:
    """The error for a number out of range states both bounds."""
    assert int_range(base) == (least, greatest)
    assert to_int("x", least, base) == least
    assert to_int("x", greatest, base) == greatest
    for beyond in (least - 1, greatest + 1):
        with pytest.raises(InvalidParams, match=f"between {least} and {greatest}"):
            to_int("x", beyond, base)


@pytest.mark.parametrize(("value", "number"), [(True, 1), (False, 0), (3.0, 3), (2048.0, 2048)])
def test_whole_numbers_of_other_json_types(value: object, number: int) -> None:
    """JSON numbers such as 1.0 are whole numbers, too."""
    converted = to_int("p", value, "int32_t")
    assert (converted, type(converted)) == (number, int)


@pytest.mark.parametrize("value", [3.5, math.inf, math.nan, "3", None, [3]])
def test_what_is_no_whole_number(value: Any) -> None:
    """Values that C would read differently are refused."""
    with pytest.raises(InvalidParams, match="must be a whole number"):
        to_int("x", value, "int32_t")


def test_a_whole_number_is_asked_for_in_words() -> None:
    """The error names the type that was sent."""
    with pytest.raises(InvalidParams) as refused:
        to_int("param.top_k", 3.5, "int32_t")
    assert refused.value.message == (
        "param.top_k: must be a whole number (int32_t), not a number with a fraction."
    )
    assert refused.value.data == {"parameter": "param.top_k"}


@pytest.mark.parametrize(("value", "truth"), [(True, True), (False, False), (1, True), (0, False)])
def test_truth(value: Any, truth: bool) -> None:
    """true, false, 1 and 0 are truth values."""
    assert to_bool("x", value) is truth


@pytest.mark.parametrize("value", [2, -1, 1.0, "true", None, []])
def test_what_is_no_truth(value: Any) -> None:
    """All other values are refused."""
    with pytest.raises(InvalidParams, match="true or false"):
        to_bool("x", value)


@pytest.mark.parametrize("value", [0, 1, -2.5, 3.4028234663852886e38, 1e-45, 16777217])
def test_floats(value: float) -> None:
    """Any finite number in the range of float32 is accepted, including whole numbers."""
    assert to_float("x", value) == value


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, 3.5e38, -1e39, 10**400, "1", None, True, [1.0]]
)
def test_what_is_no_float(value: Any) -> None:
    """Infinities, numbers that would become infinite, and other types are refused."""
    with pytest.raises(InvalidParams, match=r"^x: "):
        to_float("x", value)


@pytest.mark.parametrize("value", [2, "LOGITS"])
def test_enums_by_number_and_name(value: Any) -> None:
    """A number and a name give the same value."""
    assert to_enum("x", value, MODES) == 2


@pytest.mark.parametrize("value", [1, "logits", True, False, 2.0, None, []])
def test_what_is_no_enum(value: Any) -> None:
    """The error lists the enum's values."""
    with pytest.raises(InvalidParams, match=r"must be one of 0 \(GENERATE\), 2 \(LOGITS\)"):
        to_enum("x", value, MODES)
