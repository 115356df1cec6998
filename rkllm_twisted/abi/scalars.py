"""Converts one JSON value to one C value: text, integer, truth value, float or enum."""

from __future__ import annotations

import ctypes
import functools
import math
import struct
from collections.abc import Mapping

from rkllm_twisted.abi.layouts import SCALARS
from rkllm_twisted.errors import InvalidParams

_JSON_TYPES: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number with a fraction",
    type(None): "null",
}

#: The longest name in a message, in characters; the longest path of a field in rkllm.h has 60.
MAX_NAME_CHARACTERS = 100


def kind_of(value: object) -> str:
    """Return the words for a JSON value's type, for an error message."""
    return _JSON_TYPES.get(type(value), type(value).__name__)


def clip(name: str) -> str:
    """Shorten a name from a client, so that an error message stays one sentence."""
    return name if len(name) <= MAX_NAME_CHARACTERS else f"{name[:MAX_NAME_CHARACTERS]}…"


def param_error(path: str, what: str) -> InvalidParams:
    """Return the error for the value at a path such as ``param.extend_param.n_batch``."""
    return InvalidParams(f"{path}: {what}.", {"parameter": path})


def to_string(path: str, value: object) -> bytes:
    """Encode text for a ``char *`` in UTF-8. C reads up to the first NUL, so it must hold none.

    :raises InvalidParams: the value is no string, holds a NUL, or has no UTF-8.
    """
    if not isinstance(value, str):
        raise param_error(path, f"must be a string, not {kind_of(value)}")
    if "\0" in value:
        raise param_error(path, "holds a NUL character, which would end it in C; remove it")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"holds half a surrogate pair at character {error.start}, which is not text"
        raise param_error(path, what) from None


@functools.cache
def int_range(base: str) -> tuple[int, int]:
    """Return the least and the greatest value of a C integer type."""
    kind = SCALARS[base]
    bits = 8 * ctypes.sizeof(kind)
    if kind(-1).value < 0:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def to_int(path: str, value: object, base: str) -> int:
    """Return an integer for a C type. ``3.0`` is 3 and ``true`` is 1, as in C.

    :raises InvalidParams: the value is no whole number, or beyond the type's range.
    """
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if type(value) is not int:
        raise param_error(path, f"must be a whole number ({base}), not {kind_of(value)}")
    least, greatest = int_range(base)
    if not least <= value <= greatest:
        raise param_error(path, f"must lie between {least} and {greatest} ({base})")
    return value


def to_bool(path: str, value: object) -> bool:
    """Return a truth value; 0 and 1 are accepted, as in C.

    :raises InvalidParams: the value is anything else.
    """
    if type(value) is bool or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise param_error(path, f"must be true or false, not {kind_of(value)}")


def to_float(path: str, value: object) -> float:
    """Return a number that fits float32.

    :raises InvalidParams: the value is no number, not finite, or too large for a float32.
    """
    if type(value) is not float and type(value) is not int:
        raise param_error(path, f"must be a number, not {kind_of(value)}")
    try:
        number = float(value)
        struct.pack("<f", number)
    except OverflowError:
        raise param_error(path, "is too large for a float32") from None
    if not math.isfinite(number):
        raise param_error(path, "must be finite")
    return number


def to_enum(path: str, value: object, names: Mapping[str, int]) -> int:
    """Return the number of an enum's value, given as its number or its name.

    :raises InvalidParams: the enum lacks the value; the text lists the names.
    """
    if type(value) is int and value in names.values():
        return value
    if isinstance(value, str) and value in names:
        return names[value]
    known = ", ".join(f"{number} ({name})" for name, number in names.items())
    raise param_error(path, f"must be one of {known}")
