"""Float arrays and integers of any size in MessagePack: values that cross to another process.

A float array is packed as its bytes. MessagePack's own integers have 64 bits only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from msgspec.msgpack import Ext

from rkllm_twisted.values import FloatArray, WrongArray

#: The MessagePack extension type of a float array: rows, columns, data.
FLOATS_CODE = 1
#: The type of an integer of more than 64 bits, which MessagePack lacks: hexadecimal digits.
INTEGER_CODE = 2
#: The type of a value that is no valid array: where and what, with a NUL between.
WRONG_CODE = 3
_SHAPE = struct.Struct("<BQQ")


def with_arrays_packed(value: Any) -> Any:
    """Replace float arrays in params, at any depth, by values of the extension type."""
    if isinstance(value, FloatArray):
        return _floats(value.data, *value.shape)
    if isinstance(value, WrongArray):
        return Ext(WRONG_CODE, f"{value.where}\0{value.what}".encode())
    if isinstance(value, Mapping):
        return {name: with_arrays_packed(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)) and any(
        isinstance(v, (Mapping, FloatArray, list)) for v in value
    ):
        return [with_arrays_packed(item) for item in value]
    return value


def _floats(data: bytes | bytearray, *shape: int) -> Ext:
    rows, columns = (*shape, 0, 0)[:2]
    return Ext(FLOATS_CODE, b"".join((_SHAPE.pack(len(shape), rows, columns), data)))


def with_big_integers_packed(value: Any) -> Any:
    """Replace integers of more than 64 bits. They are rare: callers first pack without this."""
    if isinstance(value, Mapping):
        return {name: with_big_integers_packed(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_big_integers_packed(item) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return Ext(INTEGER_CODE, b"%x" % value)
    return value


def ext_hook(code: int, data: memoryview) -> FloatArray | WrongArray | int:
    """Decode an extension type: the ``ext_hook`` of a MessagePack decoder.

    :raises ValueError: there is no such type.
    """
    if code == INTEGER_CODE:
        return int(bytes(data), 16)
    if code == WRONG_CODE:
        return WrongArray(*str(data, "utf-8").split("\0", 1))
    if code != FLOATS_CODE:
        raise ValueError(f"there is no extension type {code}")
    dimensions, rows, columns = _SHAPE.unpack_from(data)
    return FloatArray(bytes(data[_SHAPE.size :]), (rows, columns)[:dimensions])
