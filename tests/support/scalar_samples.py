"""Single values, right and wrong, made from one random.Random."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from rkllm_twisted.abi.declarations import CType
from rkllm_twisted.abi.release import Release
from rkllm_twisted.abi.scalars import int_range

HUGE = 10**400
#: Neither 0, 1, true nor false, nor anything that is right for a string, a number or an object.
_NEVER_SCALAR = ([], [[]], [1], {}, {"a": 1})
TEXTS = ("", "a", "half", "Zürich 🌧", "x" * 300, "RKLLM_INPUT_PROMPT", "1", "null")
#: Not text for C: it would end too early, or is no text at all.
NOT_TEXT = ("half\0", "\0", "a\ud800", "\udfff", "x" * 5000 + "\0")
NOT_FINITE = (math.inf, -math.inf, math.nan, 1e39, -1e300, HUGE, -HUGE)


def deep(rng: Random) -> Any:
    """Nested lists and objects."""
    value: Any = rng.choice([1, "x", None])
    for _ in range(rng.choice([2, 9, 60])):
        value = [value] if rng.random() < 0.5 else {"surplus": value}
    return value


def junk(rng: Random) -> Any:
    """Any JSON value but null."""
    simple = (5, -1, 1.5, True, False, "", "x", "half\0", HUGE, [], {}, [None], {"": None})
    return deep(rng) if rng.random() < 0.1 else rng.choice(simple)


def wrong_name(rng: Random, taken: Iterable[str]) -> str:
    """A name that is not in use: one letter away from a used one, or far from all."""
    names = sorted(taken)
    far = ("", "x", "surplus", "é\0\n", "n" * 100, "n" * 5000, "__class__", "_fields_", "0")
    while True:
        name = rng.choice(names) if names and rng.random() < 0.7 else rng.choice(far)
        if name in names:
            name = rng.choice(_TYPOS)(name, rng.randrange(len(name)))
        if name not in names:
            return name


_TYPOS: tuple[Callable[[str, int], str], ...] = (
    lambda name, at: name[:at] + name[at + 1 :],
    lambda name, at: name[:at] + "_" + name[at:],
    lambda name, at: name[:at] + name[at].upper() + name[at + 1 :],
    lambda name, _: name + " ",
    lambda name, _: name.replace("_", ""),
    lambda name, _: name[::-1],
)


def right_scalar(rng: Random, release: Release, kind: CType) -> Any:
    """A value that is right for a string, a number, a truth value or an enum."""
    sort = release.sort_of(kind)
    if sort == "string":
        return rng.choice(TEXTS)
    if sort == "enum":
        names = release.enums[kind.base]
        return rng.choice([*names, *names.values()])
    if sort == "integer":
        return rng.choice([0, 1, rng.randint(*int_range(kind.base)), *int_range(kind.base)])
    return rng.choice({"bool": [True, False, 0, 1], "float": [0.5, 1, -3.4e38, 1e-45]}[sort])


def right_numbers(rng: Random, base: str, size: int) -> Any:
    """An array, as a list, as rows, or packed."""
    if base == "float":
        values: list[Any] = [rng.choice([0, 0.5, -1e30, rng.random()]) for _ in range(size)]
    else:
        values = [rng.randint(-(2**31), 2**31 - 1) for _ in range(size)]
    if rng.random() < 0.3:
        return packed(base, values)
    return [values] if base == "float" and size and rng.random() < 0.2 else values


def packed(base: str, values: list[Any]) -> dict[str, Any]:
    """The base64 form of an array."""
    code, dtype = ("f", "<f4") if base == "float" else ("i", "<i4")
    data = struct.pack(f"<{len(values)}{code}", *values)
    text = base64.b64encode(data).decode()
    return {"base64": text, "dtype": dtype, "shape": [len(values)]}


def numbers(rng: Random, base: str, count: int) -> Any:
    """An array that is wrong, of as many elements as it should have."""
    right = [1] * max(1, count)
    if rng.random() < 0.5:
        return _spoilt_pack(rng, base, right)
    if rng.random() < 0.2:
        return _not_flat(rng, base, right)
    right[rng.randrange(len(right))] = rng.choice(_bad_elements(base))
    return right


def _bad_elements(base: str) -> tuple[Any, ...]:
    common: tuple[Any, ...] = ("1", True, None, [], {}, [[]], math.nan, math.inf)
    return (*common, *NOT_FINITE) if base == "float" else (*common, 1.0, 2**31, -(2**31) - 1, HUGE)


def _not_flat(rng: Random, base: str, right: list[Any]) -> Any:
    nested: Any = right
    for _ in range(9):
        nested = [nested]
    ragged = [[1, 2], [1]]
    return rng.choice([nested, ragged, [*right, right], 5, "x", True, {}, {"base64": ""}])


def _spoilt_pack(rng: Random, base: str, right: list[Any]) -> dict[str, Any]:
    good = packed(base, right)
    text, size = good["base64"], len(right)
    spoilt: list[dict[str, Any]] = [
        {"base64": text[:-1]},
        {"base64": text + "="},
        {"base64": "*" + text[1:]},
        {"base64": " " + text},
        {"base64": text.replace("A", "é")},
        {"base64": "\ud800" + text[1:]},
        {"base64": rng.choice([5, None, [], True])},
        {
            "dtype": rng.choice(
                ["<f8", ">f4", "f4", "", None, 4, "<i4" if base == "float" else "<f4"]
            )
        },
        {"shape": rng.choice([size, None, "1", {}, [size, 2], [size + 1], [-size], [-1, -size]])},
        {
            "shape": rng.choice(
                [[True] * size, [float(size)], [None], [[size]], [size, 0], [0], [str(size)]]
            )
        },
        {"shape": rng.choice([[HUGE], [10**4000, 10**4000], [2**63, 2], [size + 1] * 100_000])},
        {"surplus": 1},
    ]
    if base == "float":
        bad = [*right[1:], rng.choice([math.nan, math.inf])]
        spoilt.append(packed(base, bad))
    made = {**good, **rng.choice(spoilt)}
    if rng.random() < 0.1:
        del made[rng.choice(list(good))]
    return made


def of_sort(rng: Random, sort: str, kind: CType, release: Release) -> Any:
    """A value that is wrong for a parameter or a field of a sort."""
    if sort == "numbers":
        return numbers(rng, kind.base, 1)
    return rng.choice(_WRONG[sort](kind, release))


def _wrong_integer(kind: CType, _release: Release) -> tuple[Any, ...]:
    low, high = int_range(kind.base)
    beyond = (low - 1, high + 1, -HUGE, HUGE)
    return (*beyond, 1.5, math.nan, "1", None, *_NEVER_SCALAR)


def _wrong_enum(kind: CType, release: Release) -> tuple[Any, ...]:
    names = release.enums[kind.base]
    near = (next(iter(names)).lower(), next(iter(names)) + " ", "RKLLM_NOTHING", "")
    return (*near, max(names.values()) + 1, -1, HUGE, 1.0, True, None, *_NEVER_SCALAR)


def _wrong_array(kind: CType, _release: Release) -> tuple[Any, ...]:
    length = kind.length or 0
    short, long = [0] * (length - 1), [0] * (length + 1)
    bad = [[*short, element] for element in (256, -1, "0", None, 0.5, [])]
    return (short, long, [], 5, "x", {}, *bad)


#: Null stands for a structure that is left out, and {} for one of defaults.
_NO_OBJECT = (5, -1.5, True, "x", "", [5], [[]], {"surplus": 1}, {"": {}}, {"a" * 200: [[1]]})
_WRONG: Mapping[str, Callable[[CType, Release], tuple[Any, ...]]] = {
    "string": lambda *_: (5, 0, 1.5, True, *NOT_TEXT, *_NEVER_SCALAR),
    "tools": lambda *_: (5, 0, 1.5, True, *NOT_TEXT, [math.nan], {"a": -math.inf}, ["\ud800"]),
    "integer": _wrong_integer,
    "float": lambda *_: (*NOT_FINITE, "0.5", "", True, None, *_NEVER_SCALAR),
    "bool": lambda *_: (2, -1, HUGE, 1.0, "true", None, *_NEVER_SCALAR),
    "enum": _wrong_enum,
    "array": _wrong_array,
    "structure": lambda *_: _NO_OBJECT,
    "pointer": lambda *_: _NO_OBJECT,
}
