"""Float arrays have the same JSON when they are written in pieces or at once."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.values import FloatArray
from rkllm_twisted.wire import encoding


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3))
def test_pieces_are_the_whole(rows: int, columns: int, dimensions: int) -> None:
    """The shapes include empty ones; NaN is null in both."""
    shape = (rows, columns, 2)[:dimensions]
    count = {0: 3, 1: rows, 2: rows * columns, 3: rows * columns * 2}[dimensions]
    numbers = array("f", [*(0.1 * i for i in range(count - 1)), float("nan")][:count])
    result = {"text": "x", "logits": {"logits": FloatArray(numbers.tobytes(), shape)}, "rows": [{}]}
    pauses: list[None] = []
    made = encoding.with_arrays_encoded(result, lambda: pauses.append(None))
    assert encoding.encode(made) == encoding.encode(result)


def test_a_pause_comes_after_each_piece() -> None:
    """A row of any length is written in pieces."""
    floats = FloatArray(
        bytes(encoding.CHUNK_BYTES * 3 + encoding.FLOAT_BYTES), (encoding.CHUNK_BYTES * 3 // 4 + 1,)
    )
    pauses: list[None] = []
    made = encoding.with_arrays_encoded(floats, lambda: pauses.append(None))
    assert len(pauses) == 4
    assert json.loads(encoding.encode(made)) == [0] * (encoding.CHUNK_BYTES * 3 // 4 + 1)


def test_a_shape_that_does_not_fit_is_refused() -> None:
    """A wrong shape would mislead the client."""
    with pytest.raises(ValueError, match="3 floats have no shape"):
        encoding.with_arrays_encoded(FloatArray(bytes(12), (2, 2)), list)
