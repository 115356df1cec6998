"""Hidden states become embeddings."""

from __future__ import annotations

import base64
import math
import struct
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rkllm_twisted.chat.embeddings import (
    POOLINGS,
    as_base64,
    as_float_array,
    cosine,
    cut,
    embed,
    read_inputs,
    unit,
)
from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.values import FloatArray

FLOATS = st.floats(-1000, 1000, width=32)


def hidden(rows: list[list[float]]) -> FloatArray:
    data = np.array(rows, dtype="<f4")
    return FloatArray(data.tobytes(), data.shape)


@settings(deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(FLOATS, min_size=width, max_size=width), min_size=1, max_size=5
        )
    ),
    st.sampled_from(sorted(POOLINGS)),
)
def test_pooling_is_what_numpy_makes_of_it(rows: list[list[float]], pooling: str) -> None:
    states = np.array(rows, dtype="<f4").astype("f8")
    pooled = {"last": states[-1], "cls": states[0], "mean": states.mean(axis=0)}[pooling]
    length = np.linalg.norm(pooled)
    made = embed(hidden(rows), pooling)
    if length > 1e-30:
        assert np.allclose(made, pooled / length, atol=1e-5)
        assert math.isclose(math.hypot(*made), 1, rel_tol=1e-5)


def test_dimensions_are_cut_and_the_length_is_one_again() -> None:
    made = embed(hidden([[3, 4, 12]]), "last", 2)
    assert list(made) == pytest.approx([0.6, 0.8])


def test_zeros_stay_zeros() -> None:
    assert list(unit(array("f", [0, 0]))) == [0, 0]
    assert cosine([0, 0], [1, 0]) == 0


@pytest.mark.parametrize("dimensions", [0, -1, 4])
def test_dimensions_that_there_are_not_are_refused(dimensions: int) -> None:
    with pytest.raises(InvalidParams, match="have 3, so it must be 1 to that"):
        cut(array("f", [1, 2, 3]), dimensions)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_never_becomes_an_embedding(value: float) -> None:
    with pytest.raises(RuntimeRefused, match="no number"):
        embed(hidden([[1, value]]), "mean")


def test_without_hidden_states_there_is_no_embedding() -> None:
    with pytest.raises(RuntimeRefused, match="no hidden states"):
        embed(FloatArray(b"", (0, 4)), "last")


def test_embeddings_leave_as_little_endian_floats() -> None:
    vector = array("f", [0.5, -1])
    assert base64.b64decode(as_base64(vector)) == struct.pack("<2f", 0.5, -1)
    assert as_float_array([vector, vector]) == FloatArray(
        struct.pack("<4f", 0.5, -1, 0.5, -1), (2, 2)
    )
    assert as_float_array([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("value", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1], "a"], ((1,), "a")),
    ],
)
def test_inputs_are_texts_or_tokens(value: object, inputs: object) -> None:
    assert read_inputs(value) == inputs


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, "input"),
        ([], "input"),
        ([""], "input[0]"),
        (["a", 1], "input[1]"),
        ([[True]], "input[0]"),
    ],
)
def test_wrong_inputs_are_refused_by_place(value: object, place: str) -> None:
    with pytest.raises(InvalidParams) as error:
        read_inputs(value)
    assert error.value.data == {"parameter": place}
