"""Messages between the daemon and the runtime's process arrive unchanged."""

from __future__ import annotations

import base64
from array import array
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import prepare
from rkllm_twisted.abi.release import releases
from rkllm_twisted.isolation import messages
from rkllm_twisted.values import FloatArray
from rkllm_twisted.wire.msgpack import with_arrays_packed

LAYOUT = layout_of(releases()["1.3.0"])
NUMBERS = array("f", [0.5, -2.25, 3.0, 1e-30])
AS_BASE64 = {
    "base64": base64.b64encode(NUMBERS.tobytes()).decode(),
    "dtype": "<f4",
    "shape": [2, 2],
}
FLOATS = st.lists(st.floats(width=32), max_size=6).map(
    lambda numbers: FloatArray(b"".join(bytes(4) for _ in numbers), (len(numbers),))
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
VALUES = st.recursive(
    SCALARS | FLOATS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(VALUES))
def test_params_come_out_as_they_went_in(params: list[Any]) -> None:
    """Any JSON value, numbers of any size, and float arrays."""
    sent = messages.Perform(1, "rkllm_run", with_arrays_packed(params), False)
    assert messages.to_child(messages.pack(sent)).params == params  # type: ignore[union-attr]


@pytest.mark.parametrize("sent", [AS_BASE64, [0.5, -2.25, 3.0, 1e-30], [[0.5, -2.25], [3, 1e-30]]])
def test_an_array_that_was_checked_crosses_as_its_bytes(sent: Any) -> None:
    """The daemon parses the array's text once and sends only bytes to the child."""
    params = {
        "rkllm_input": {
            "input_type": "RKLLM_INPUT_EMBED",
            "embed_input": {"embed": sent, "n_tokens": 2},
        }
    }
    prepared = prepare(LAYOUT, b"", "rkllm_run", params)
    crossing = with_arrays_packed(params, prepared.floats)
    data = messages.pack(messages.Perform(1, "rkllm_run", crossing, True))
    assert NUMBERS.tobytes() in data
    assert AS_BASE64["base64"].encode() not in data
    message = messages.to_child(data)
    assert isinstance(message, messages.Perform)
    embed = message.params["rkllm_input"]["embed_input"]["embed"]
    assert isinstance(embed, FloatArray)
    assert embed.data == NUMBERS.tobytes()
    (again,) = prepare(LAYOUT, b"", "rkllm_run", message.params).floats.values()
    assert list(again) == list(NUMBERS)
    assert memoryview(again).obj is embed.data, "C reads the bytes that came"


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_an_array_in_a_result_comes_back_as_it_was(shape: tuple[int, ...]) -> None:
    """Its shape is kept, too."""
    whole = FloatArray(NUMBERS.tobytes(), shape)
    data = messages.pack(messages.Done(1, with_arrays_packed({"logits": {"logits": whole}}), True))
    message = messages.from_child(data)
    assert isinstance(message, messages.Done)
    assert message.result["logits"]["logits"] == whole
