"""One vector made of many: of a text's tokens, its embedding."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence

from rkllm_twisted.values import FloatArray

Vector = Sequence[float]


def rows_of(floats: FloatArray) -> list[array[float]]:
    """Take an array of hidden states apart: a row for each token."""
    values = array("f", floats.data)
    if sys.byteorder == "big":
        values.byteswap()
    width = floats.shape[-1]
    return [values[start : start + width] for start in range(0, len(values), width)]


def mean(rows: Sequence[Vector]) -> Vector:
    """Take the mean of all rows."""
    return [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]


def last(rows: Sequence[Vector]) -> Vector:
    """Take the last row: of a model that reads from left to right, the only one that knows all."""
    return rows[-1]


#: What a client may choose.
POOLINGS: Mapping[str, Callable[[Sequence[Vector]], Vector]] = {"last": last, "mean": mean}


def normalised(vector: Vector) -> Vector:
    """Bring a vector to length 1, so that a dot product is the cosine; zeros stay as they are."""
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else vector


def packed(vector: Vector) -> FloatArray:
    """Make what the daemon sends in the form that the client has asked for."""
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return FloatArray(values.tobytes(), (len(values),))
