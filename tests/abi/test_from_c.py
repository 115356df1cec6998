"""Structures become JSON objects."""

from __future__ import annotations

import ctypes
import math
import struct

import pytest
from hypothesis import given
from strategies import FLOATS

from rkllm_twisted.abi.from_c import MAX_ARRAY_BYTES, empty_result, shortest_float32, to_json
from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import FloatArray

NEWEST = layout_of(releases()["1.3.0"])
RESULT = ["text", "token_id", "last_hidden_layer", "logits", "perf"]


def float32(value: float) -> bytes:
    """Return the bytes of a float32."""
    return struct.pack("<f", value)


@pytest.mark.parametrize(
    "short", [0.9, 0.8, 1.1, 0.1, 5.0, 0.0, 1e-45, 3.4028235e38, 16777216.0, 1e10, -2.5e-7]
)
def test_floats_are_short(short: float) -> None:
    """A float32 becomes its shortest decimal."""
    assert shortest_float32(ctypes.c_float(short).value) == short


@given(FLOATS)
def test_floats_read_back_to_the_same_float32(value: float) -> None:
    """Reading gives the same bits, including the sign of zero."""
    short = shortest_float32(value)
    assert short is not None
    assert float32(short) == float32(value)
    assert len(repr(abs(short)).replace(".", "").strip("0").split("e")[0]) <= 9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_does_not_have_is_null(value: float) -> None:
    """NaN and infinities from C become null."""
    assert shortest_float32(value) is None


def test_the_fields_of_a_result() -> None:
    """An RKLLMResult has exactly the fields of rkllm.h, in its order."""
    result = to_json(NEWEST, NEWEST.structs["RKLLMResult"]())
    assert list(result) == RESULT
    assert result == {
        "text": None,
        "token_id": 0,
        "last_hidden_layer": {"hidden_states": None, "embd_size": 0, "num_tokens": 0},
        "logits": {"logits": None, "vocab_size": 0, "num_tokens": 0},
        "perf": {
            "prefill_time_ms": 0.0,
            "prefill_tokens": 0,
            "generate_time_ms": 0.0,
            "generate_tokens": 0,
            "memory_usage_mb": 0.0,
        },
    }


@pytest.mark.parametrize(("release", "fields"), [("1.1.4", 3), ("1.2.0", 4), ("1.2.1", 5)])
def test_older_results_have_fewer_fields(release: str, fields: int) -> None:
    """Logits came with 1.2.0, perf with 1.2.1."""
    layout = layout_of(releases()[release])
    assert list(to_json(layout, layout.structs["RKLLMResult"]())) == RESULT[:fields]


def test_arrays_are_copied(layout: Layout) -> None:
    """Later changes of C's memory do not change the result."""
    numbers = (ctypes.c_float * 6)(*range(6))
    hidden = layout.structs["RKLLMResultLastHiddenLayer"](numbers, 3, 2)
    copied = to_json(layout, hidden)["hidden_states"]
    numbers[0] = 99
    assert copied == FloatArray(struct.pack("<6f", *range(6)), (2, 3))


@pytest.mark.parametrize(("size", "tokens"), [(0, 2), (3, 0), (-3, 2), (3, -2), (-3, -2)])
def test_an_array_without_elements_is_null(size: int, tokens: int) -> None:
    """A count of zero or less makes no array."""
    numbers = (ctypes.c_float * 6)()
    logits = NEWEST.structs["RKLLMResultLogits"](numbers, size, tokens)
    assert to_json(NEWEST, logits) == {"logits": None, "vocab_size": size, "num_tokens": tokens}


def test_an_absurd_array_is_not_read() -> None:
    """A nonsensical count causes an error, not a crash."""
    numbers = (ctypes.c_float * 6)()
    logits = NEWEST.structs["RKLLMResultLogits"](numbers, 2**31 - 1, 2**31 - 1)
    assert MAX_ARRAY_BYTES < 4 * (2**31 - 1) ** 2
    with pytest.raises(RuntimeRefused, match=r"2147483647 \* 2147483647 floats"):
        to_json(NEWEST, logits)


def test_text_that_is_not_utf_8() -> None:
    """Invalid bytes become replacement characters."""
    lora = NEWEST.structs["RKLLMLoraParam"](b"a\xff")
    assert to_json(NEWEST, lora) == {"lora_adapter_name": "a\ufffd"}


def test_reserved_bytes_and_booleans() -> None:
    """Reserved bytes become null, and a bool becomes a boolean."""
    param = NEWEST.structs["RKLLMParam"](skip_special_token=True)
    read = to_json(NEWEST, param)
    assert read["skip_special_token"] is True
    extend = read["extend_param"]
    assert isinstance(extend, dict)
    assert extend["reserved"] is None


def test_the_largest_floats() -> None:
    """Their short decimals are still in the range of float32."""
    largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    for step in range(2000):
        value = struct.unpack("<f", (0x7F7FFFFF - step).to_bytes(4, "little"))[0]
        assert float32(shortest_float32(value) or 0) == float32(value)
    assert shortest_float32(largest) == 3.4028235e38


def test_the_empty_result(layout: Layout) -> None:
    """The result has the release's fields, no text, and the state that ends a run."""
    empty = empty_result(layout)
    names = [member.name for member in layout.release.structs["RKLLMResult"].members]
    assert list(empty) == [*names, "_callback_state"]
    assert (empty["text"], empty["token_id"], empty["_callback_state"]) == (None, -1, 2)
