"""Embeddings, computed from a model's hidden states."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeGuard

from rkllm_twisted.chat.messages import shown, wrong
from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.values import FloatArray

#: Values of float32 in the machine's own byte order.
Vector: TypeAlias = "array[float]"


def rows_of(hidden: FloatArray) -> tuple[Vector, int]:
    """Return the values of hidden states, and how many values are in a row.

    :raises RuntimeRefused: there are no hidden states, or a value is not finite.
    """
    values = array("f", bytes(hidden.data))
    if sys.byteorder == "big":
        values.byteswap()
    width = hidden.shape[-1]
    if not values or len(values) % width:
        raise RuntimeRefused("The runtime returned no hidden states.", _RUN)
    if not all(map(math.isfinite, values)):
        raise RuntimeRefused("The model's hidden states hold what is no number.", _RUN)
    return values, width


_RUN = {"function": "rkllm_run", "status_code": 0}


def _last(values: Vector, width: int) -> Vector:
    return values[-width:]


def _first(values: Vector, width: int) -> Vector:
    return values[:width]


def _mean(values: Vector, width: int) -> Vector:
    count = len(values) // width
    return array("f", (math.fsum(values[at::width]) / count for at in range(width)))


#: The row for the whole text: the last (decoders), the first (BERT's "CLS"), or the mean of all.
POOLINGS: Mapping[str, Callable[[Vector, int], Vector]] = {
    "last": _last,
    "mean": _mean,
    "cls": _first,
}


def embed(hidden: FloatArray, pooling: str, dimensions: int | None = None) -> Vector:
    """Return the embedding of a text, scaled to length 1.

    :param hidden: the ``hidden_states`` of a run, one row per token.
    :param pooling: a name in :data:`POOLINGS`. It depends on the model.
    :param dimensions: how many dimensions to keep, for models that were trained so that their
        embeddings can be cut (Matryoshka); None for all.
    :raises InvalidParams: the model has fewer dimensions.
    """
    values, width = rows_of(hidden)
    return cut(POOLINGS[pooling](values, width), dimensions)


def cut(vector: Vector, dimensions: int | None) -> Vector:
    """Return a vector's first dimensions, scaled to length 1.

    :raises InvalidParams: the vector has fewer dimensions.
    """
    if dimensions is not None and not 1 <= dimensions <= len(vector):
        raise InvalidParams(
            f"dimensions: the model's embeddings have {len(vector)}, so it must be 1 to that.",
            {"parameter": "dimensions", "width": len(vector)},
        )
    return unit(vector[:dimensions])


def unit(vector: Vector) -> Vector:
    """Return a vector scaled to length 1. A vector of zeros is returned unchanged."""
    length = math.hypot(*vector)
    return array("f", (one / length for one in vector)) if length else vector


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine similarity of two embeddings, from -1 to 1."""
    lengths = math.hypot(*one) * math.hypot(*other)
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return max(-1.0, min(1.0, product / lengths)) if lengths else 0.0


def as_float_array(vectors: Sequence[Vector]) -> FloatArray:
    """Return embeddings as one array. Each connection sends it in its own form."""
    width = len(vectors[0]) if vectors else 0
    return FloatArray(b"".join(map(_little, vectors)), (len(vectors), width))


def as_base64(vector: Vector) -> str:
    """Return an embedding in the form of OpenAI's API: little-endian float32 in base64."""
    return base64.b64encode(_little(vector)).decode("ascii")


def _little(vector: Vector) -> bytes:
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector.tobytes()


def read_inputs(value: object, place: str = "input") -> tuple[str | tuple[int, ...], ...]:
    """Read the inputs of an embeddings request: a text, tokens, or an array of texts and tokens.

    :raises InvalidParams: a value is wrong; the error names its place.
    """
    if isinstance(value, str) or _is_tokens(value):
        value = [value]
    if not isinstance(value, Sequence) or not value:
        raise wrong(place, f"must be a text, tokens, or a list of either, not {shown(value)}")
    return tuple(_read_input(one, f"{place}[{at}]") for at, one in enumerate(value))


def _read_input(value: object, place: str) -> str | tuple[int, ...]:
    if isinstance(value, str) and value:
        return value
    if _is_tokens(value):
        return tuple(value)
    raise wrong(place, f"must be a text or tokens, and not empty: {shown(value)}")


def _is_tokens(value: object) -> TypeGuard[Sequence[int]]:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    )
