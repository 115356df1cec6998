"""Makes JSON objects of the structures of rkllm.h, field by field after the release's table.

All values are copies: the memory that a result points to is valid only inside the callback.
"""

from __future__ import annotations

import ctypes
import functools
import math
import operator
import struct as packing
from collections.abc import Callable, Iterable, Mapping

from rkllm_twisted.abi.declarations import CType, Function
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.release import Release, Struct
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import FloatArray, RunState

#: Array field -> the fields with its numbers of rows and columns (rkllm.h 1.3.0).
SHAPES: Mapping[str, tuple[str, str]] = {
    "hidden_states": ("num_tokens", "embd_size"),
    "logits": ("num_tokens", "vocab_size"),
}
#: The largest array, in bytes. It protects against a garbage count; 4096 tokens of the largest
#: vocabularies in use (260 000) are below it.
MAX_ARRAY_BYTES = 1 << 33

_SMALLEST_NORMAL = 2.0**-126

#: Reads one field of a structure.
FieldReader = Callable[[CData], object]


def to_json(layout: Layout, structure: CData) -> dict[str, object]:
    """Make a JSON object of a structure.

    Arrays of floats become :class:`~rkllm_twisted.values.FloatArray`. Bytes of text
    that are not UTF-8 become U+FFFD. NULL, reserved bytes and other pointers become ``None``. A
    union is left out: it has no field that selects the member.

    :raises RuntimeRefused: the counts of an array are absurdly large.
    """
    struct = layout.release.structs[type(structure).__name__]
    return {name: read(structure) for name, read in _readers(layout.release, struct)}


def empty_result(layout: Layout) -> dict[str, object]:
    """Return the RKLLMResult of a run that has ended, without data: state FINISH, text null."""
    result = layout.structs["RKLLMResult"](token_id=-1)
    return {**to_json(layout, result), "_callback_state": int(RunState.FINISH)}


def output_buffers(layout: Layout, function: Function, rows: int) -> dict[str, CData]:
    """Return memory, all zeros, for each parameter that C writes to."""
    return {
        parameter.name: (
            layout.resolve(CType(parameter.type.base)) * (rows if parameter.per_row else 1)
        )()
        for parameter in function.outputs
    }


def values_of(
    layout: Layout, function: Function, buffers: Mapping[str, CData]
) -> dict[str, object]:
    """Return what C has written to the buffers of :func:`output_buffers`, as JSON."""
    values: dict[str, object] = {}
    for parameter in function.outputs:
        items = [_value(layout, parameter.type.base, item) for item in buffers[parameter.name]]
        values[parameter.name] = items if parameter.per_row else items[0]
    return values


def _value(layout: Layout, base: str, item: CData) -> object:
    if base in layout.structs:
        return to_json(layout, item)
    return shortest_float32(item) if base == "float" else item


@functools.cache
def _readers(release: Release, struct: Struct) -> tuple[tuple[str, FieldReader], ...]:
    # Made once for each structure: C returns thousands of results.
    return tuple(
        (member.name, _reader(release, member.name, member.type))
        for member in struct.members
        if member.name is not None
    )


def _reader(release: Release, name: str, kind: CType) -> FieldReader:
    sort = release.sort_of(kind)
    if sort == "structure":
        return functools.partial(_nested, name, _readers(release, release.structs[kind.base]))
    if sort == "numbers" and name in SHAPES:
        return functools.partial(_floats, name)
    if sort in _AS_CTYPES_GIVES_IT:
        return operator.attrgetter(name)
    read = _READERS[sort]
    return lambda structure: read(getattr(structure, name))


def _nested(name: str, readers: Iterable[tuple[str, FieldReader]], structure: CData) -> object:
    inner = getattr(structure, name)
    return {member: read(inner) for member, read in readers}


def _floats(name: str, structure: CData) -> FloatArray | None:
    pointer = getattr(structure, name)
    shape = tuple(getattr(structure, count) for count in SHAPES[name])
    if not pointer or min(shape) <= 0:
        return None
    size = 4 * math.prod(shape)
    if size > MAX_ARRAY_BYTES:
        what = f"The runtime says that its {name} has {shape[0]} * {shape[1]} floats; not read."
        raise RuntimeRefused(what, {"field": name, "shape": list(shape)})
    return FloatArray(ctypes.string_at(pointer, size), shape)


def text_of(value: bytes | None) -> str | None:
    """Decode a complete ``char *``."""
    return None if value is None else value.decode("utf-8", "replace")


def shortest_float32(value: float) -> float | None:
    """Return the shortest decimal that reads back to a float32: 0.9, not 0.8999999761581421.

    :param value: a float32, widened to Python's float64 without a change.
    :returns: ``None`` for NaN and the infinities, which JSON does not have.
    """
    if not math.isfinite(value):
        return None
    if value == 0:  # true for most figures of most results
        return value
    exact = packing.pack("<f", value)
    # float32 keeps every decimal of 6 digits, except subnormal numbers.
    for digits in range(6 if abs(value) >= _SMALLEST_NORMAL else 1, 9):
        short = float(f"{value:.{digits}g}")
        if packing.pack("<f", short) == exact:
            return short
    return float(f"{value:.9g}")


#: The sort of a type (:meth:`Release.sort_of`) -> the function that reads a value.
_READERS: Mapping[str, Callable[[CData], object]] = {
    "string": text_of,
    "float": shortest_float32,
    "array": lambda _: None,
    "numbers": lambda _: None,
    "pointer": lambda _: None,
}
_AS_CTYPES_GIVES_IT = frozenset({"enum", "bool", "integer"})
