"""Encodes results as JSON, with float arrays in the form that the connection has chosen.

A float32 is written as the shortest decimal that reads back to it: 0.9, not 0.8999999761581421.
NaN and the infinities, which JSON does not have, are written as null.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import msgspec

from rkllm_twisted.values import FloatArray
from rkllm_twisted.wire.encoded_result import EncodedResult

#: Bytes of a float32, and of what is written between two pauses: about 4 ms.
FLOAT_BYTES = 4
CHUNK_BYTES = 4096 * FLOAT_BYTES


def float32s(data: bytes) -> array[float]:
    """Read little-endian float32."""
    values = array("f", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def as_lists(floats: FloatArray) -> list[object]:
    """Nest the values by their shape, row by row.

    :raises ValueError: the shape does not fit the data.
    """
    from rkllm_twisted.wire.float32 import shortest  # noqa: PLC0415 - clients never get here

    values = shortest(float32s(floats.data))
    return _nested(values, floats.shape)


def _nested(values: list[float], shape: tuple[int, ...]) -> list[object]:
    count, rest = (shape[0], shape[1:]) if shape else (len(values), ())
    step = len(values) // count if count else 0
    if step * count != len(values) or (not rest and step > 1):
        raise ValueError(f"{len(values)} floats have no shape {shape}")
    if not rest:
        return list(values)
    return [_nested(values[i * step : (i + 1) * step], rest) for i in range(count)]


def as_base64(floats: FloatArray) -> dict[str, object]:
    """Return the bytes and their shape; msgspec encodes bytes as base64."""
    return {"base64": floats.data, "dtype": "<f4", "shape": list(floats.shape)}


#: What ``server.configure {"floats": …}`` may choose.
FORMS: Mapping[str, Callable[[FloatArray], object]] = {"json": as_lists, "base64": as_base64}


def _hook(form: Callable[[FloatArray], object]) -> Callable[[Any], object]:
    """Return the function that msgspec calls for a value that it cannot encode itself."""

    def formed(value: Any) -> object:
        if isinstance(value, FloatArray):
            return form(value)
        raise TypeError(f"{type(value).__name__} has no JSON form")

    return formed


_ENCODE = {name: msgspec.json.Encoder(enc_hook=_hook(form)).encode for name, form in FORMS.items()}
_SCALARS = frozenset({type(None), bool, int, float, str})
_AS_THEY_ARE = frozenset({*_SCALARS, msgspec.Raw, FloatArray})
_WITHOUT_ARRAYS = frozenset({*_SCALARS, EncodedResult})


def encode(value: object, floats: str = "json") -> bytes:
    """Encode a value as JSON without newlines.

    :param value: JSON values, mappings, attrs instances, and :class:`FloatArray` anywhere in them.
    :param floats: one of :data:`FORMS`.
    :raises TypeError, ValueError, OverflowError, RecursionError: it has no JSON form.
    """
    if type(value) is EncodedResult:
        return value.json
    if type(value) in _AS_THEY_ARE or _holds_only(_AS_THEY_ARE, value):
        return _ENCODE[floats](value)
    return _ENCODE[floats](_plain(value))


def _holds_only(kinds: frozenset[type], value: Any) -> bool:
    """True if a tree of dicts and lists has values of these types only: then no copy is needed."""
    if type(value) is dict:
        items: Iterable[Any] = value.values()
    elif type(value) is list:
        items = value
    else:
        return False
    for item in items:  # noqa: SIM110 - any() takes twice as long, and this is done for each token
        if type(item) not in kinds and not _holds_only(kinds, item):
            return False
    return True


def encode_floats(value: object) -> object:
    """Encode a value once, for many results: :func:`encode` then copies the bytes."""
    return msgspec.Raw(encode(value))


def with_arrays_encoded(value: Any, pause: Callable[[], object]) -> Any:
    """Encode the float arrays of a result as numbers, in chunks.

    :param value: mappings, and in them lists and :class:`FloatArray`.
    :param pause: called after each chunk.
    """
    if isinstance(value, FloatArray):
        return msgspec.Raw(b"".join(_pieces(value, pause)))
    if type(value) in _WITHOUT_ARRAYS or _holds_only(_SCALARS, value):
        return value
    if isinstance(value, Mapping):
        return {name: with_arrays_encoded(item, pause) for name, item in value.items()}
    if isinstance(value, list):
        return [with_arrays_encoded(item, pause) for item in value]
    return value


def _pieces(floats: FloatArray, pause: Callable[[], object]) -> Iterator[bytes]:
    data, shape = floats.data, floats.shape or (len(floats.data) // FLOAT_BYTES,)
    if math.prod(shape) * FLOAT_BYTES != len(data):
        raise ValueError(f"{len(data) // FLOAT_BYTES} floats have no shape {shape}")
    yield b"["
    if len(shape) > 1:
        size = len(data) // shape[0] if shape[0] else 0
        for row in range(shape[0]):
            yield b"," if row else b""
            yield from _pieces(FloatArray(data[row * size : (row + 1) * size], shape[1:]), pause)
    else:
        for at in range(0, len(data), CHUNK_BYTES):
            yield b"," if at else b""
            part = data[at : at + CHUNK_BYTES]
            yield encode(FloatArray(part, (len(part) // FLOAT_BYTES,)))[1:-1]
            pause()
    yield b"]"


def _plain(value: object) -> object:
    """Convert to dicts, lists and scalars; raise TypeError for a type that has no JSON form."""
    kind: type = type(value)
    if kind in _AS_THEY_ARE or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if attrs.has(kind):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(kind)}
    raise TypeError(f"{kind.__name__} has no JSON form")
