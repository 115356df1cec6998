"""Makes C arrays (``float *``, ``int32_t *``) of JSON arrays and base64.

An image's embedding has millions of floats, so no Python code looks at them one by one.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import attrs
import msgspec

from rkllm_twisted.abi.scalars import kind_of, param_error
from rkllm_twisted.values import FloatArray, WrongArray

#: An array of float32 or int32, see :data:`ELEMENTS`; a view if the bytes exist already.
Numbers: TypeAlias = "array[Any] | memoryview[Any]"


@attrs.frozen
class Element:
    """The elements of an array.

    :param code: the type code of :class:`array.array`; each element has 4 bytes.
    :param dtype: the name in base64 arrays.
    :param types: the JSON types that an element may have.
    """

    words: str
    code: str
    dtype: str
    types: frozenset[type]


ELEMENTS: Mapping[str, Element] = {
    "float": Element("numbers", "f", "<f4", frozenset({int, float})),
    "int32_t": Element("whole numbers of 32 bits", "i", "<i4", frozenset({int})),
    "int": Element("whole numbers of 32 bits", "i", "<i4", frozenset({int})),
}
#: The deepest nesting of rows. Deeper nesting is a mistake, and flattening it costs time.
_MAX_DIMENSIONS = 8
#: The largest count. An error message can state the product of eight counts.
_SIZES = range(1 << 32)


def to_array(path: str, value: object, base: str) -> Numbers:
    """Make a C array of a JSON value.

    :param value: a list of numbers; a list of rows, all of one length, as deep as they come (only
        of floats); ``{"base64": …, "dtype": …, "shape": […]}``; or a FloatArray.
    :param base: the C type of an element.
    :raises InvalidParams: the value is no such array; the text names a wrong element.
    """
    element = ELEMENTS[base]
    if isinstance(value, FloatArray) and element.code == "f":
        return _from_bytes(path, value.data, value.shape, element)
    if isinstance(value, WrongArray):
        raise param_error(path + value.where, value.what)
    if isinstance(value, Mapping):
        return _from_base64(path, value, element)
    if isinstance(value, list):
        return _from_list(path, value, element)
    words = f"must be an array of {element.words} or an object with base64, dtype and shape"
    raise param_error(path, f"{words}, not {kind_of(value)}")


def _from_list(path: str, value: list[object], element: Element) -> Numbers:
    flat: Sequence[object] = _flatten(path, value) if element.code == "f" else value
    if not element.types.issuperset(set(map(type, flat))):
        index = next(i for i, item in enumerate(flat) if type(item) not in element.types)
        what = f"must be an array of {element.words}, and number {index} is {kind_of(flat[index])}"
        raise param_error(f"{path}[{index}]", what)
    try:
        numbers = array(element.code, cast(Any, flat))
    except OverflowError:
        raise param_error(path, f"must be an array of {element.words}; one is too large") from None
    return _finite(path, numbers, numbers.tobytes(), element)


def _flatten(path: str, rows: list[object]) -> list[object]:
    """Join rows of equal length, level by level, until only numbers are left."""
    for _ in range(_MAX_DIMENSIONS):
        if not rows or type(rows[0]) is not list:
            return rows
        if set(map(type, rows)) != {list} or len(set(map(len, rows))) != 1:  # type: ignore[arg-type]
            raise param_error(path, "has rows of different lengths")
        rows = list(itertools.chain.from_iterable(rows))  # type: ignore[arg-type]
    raise param_error(path, f"is nested more than {_MAX_DIMENSIONS} deep")


def _from_base64(path: str, value: Mapping[str, object], element: Element) -> Numbers:
    if set(value) != {"base64", "dtype", "shape"}:
        raise param_error(path, "must have exactly base64, dtype and shape")
    if value["dtype"] != element.dtype:
        raise param_error(f"{path}.dtype", f"must be {element.dtype!r}")
    shape = value["shape"]
    if not isinstance(shape, list) or not all(type(n) is int and n in _SIZES for n in shape):
        raise param_error(
            f"{path}.shape", "must be an array of whole numbers of 32 bits, none negative"
        )
    if len(shape) > _MAX_DIMENSIONS:
        raise param_error(f"{path}.shape", f"has more than {_MAX_DIMENSIONS} numbers")
    return _from_bytes(path, _decode(f"{path}.base64", value["base64"]), shape, element)


def _decode(path: str, text: object) -> bytearray:
    if not isinstance(text, str):
        raise param_error(path, f"must be a string, not {kind_of(text)}")
    try:  # strict about alphabet, length and padding, and several times as fast as binascii
        return msgspec.convert(text, bytearray)
    except ValueError:
        raise param_error(path, "is not base64") from None


def _from_bytes(
    path: str, data: bytes | bytearray, shape: Sequence[int], element: Element
) -> Numbers:
    expected = 4 * math.prod(shape)
    if len(data) != expected:
        what = f"holds {len(data)} bytes, but the shape {list(shape)} takes {expected}"
        raise param_error(path, what)
    # Bytes without another owner are not copied: a copy would be most of the work.
    own = data if isinstance(data, bytearray) else bytearray(data)
    return _finite(path, memoryview(own).cast(cast(Any, element.code)), own, element)


def address_of(numbers: Numbers) -> int:
    """Return the address of the first number; 0 (NULL) if the array is empty."""
    return ctypes.addressof(ctypes.c_char.from_buffer(numbers)) if numbers else 0


def _finite(path: str, numbers: Numbers, data: bytes | bytearray, element: Element) -> Numbers:
    if element.code == "f" and not _all_finite(numbers, data):
        index = next(i for i, number in enumerate(numbers) if not math.isfinite(number))
        raise param_error(f"{path}[{index}]", "must be finite, and fit into a float32")
    return numbers


def _all_finite(numbers: Numbers, data: bytes | bytearray) -> bool:
    """True if no number is an infinity or a NaN; ``data`` has the bytes of the numbers.

    The highest byte of an infinity or a NaN is 7F or FF, since its exponent is all ones. Other
    floats with such a byte are beyond 1.7e38, so the floats themselves are summed only if one
    occurs. A sum of finite float32 is finite in Python's float64; any other sum is not.
    """
    highest = data[3::4]
    if b"\x7f" not in highest and b"\xff" not in highest:
        return True
    return math.isfinite(sum(numbers))
