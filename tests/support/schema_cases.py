"""Schemas and instances, made of what JSON Schema's specification says of each keyword.

A row has a schema, instances that are valid and instances that are not. Members of objects stand in
the order of the schema's properties, as in an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = tuple[dict[str, Any], list[Any], list[Any]]

LETTERS = "abcdefghij"


def bounds() -> Iterator[Row]:
    """``minimum``, ``maximum`` and their exclusive forms, for integers and numbers."""
    for low, high in ((0, 9), (-5, 5), (1, 1), (10, 120), (-100, -1), (7, 1000)):
        within, without = [low, high, (low + high) // 2], [low - 1, high + 1]
        yield {"type": "integer", "minimum": low, "maximum": high}, within, without
        yield (
            {"type": "integer", "exclusiveMinimum": low - 1, "exclusiveMaximum": high + 1},
            within,
            without,
        )
        yield {"type": "integer", "minimum": low}, [low, low + 1000], [low - 1]
        yield {"type": "integer", "maximum": high}, [high, high - 1000], [high + 1]
        yield (
            {"type": "number", "minimum": low, "maximum": high},
            [low, high, low + (high - low) / 2],
            [low - 0.5, high + 0.5],
        )


def multiples() -> Iterator[Row]:
    """``multipleOf``."""
    for step in (2, 3, 5, 10):
        yield (
            {"type": "integer", "multipleOf": step, "minimum": 0, "maximum": 100},
            [0, step, 3 * step],
            [1, step + 1],
        )


def lengths() -> Iterator[Row]:
    """``minLength`` and ``maxLength``, in characters and not in bytes."""
    for low, high in ((0, 3), (1, 1), (2, 5), (4, 10), (3, 3)):
        good = [LETTERS[:low], LETTERS[:high], "ä" * high]
        bad = [LETTERS[:high] + "x", "€" * (high + 1), *([LETTERS[: low - 1]] if low else [])]
        yield {"type": "string", "minLength": low, "maxLength": high}, good, bad


def patterns() -> Iterator[Row]:
    """``pattern``."""
    for pattern, good, bad in (
        ("^[a-c]+$", ["a", "abcabc"], ["", "d", "abd"]),
        ("^[0-9]{4}-[0-9]{2}$", ["2026-01"], ["2026", "2026-1", "x"]),
        ("^(yes|no)$", ["yes", "no"], ["maybe", ""]),
        (r"^\d{1,3}\.\d$", ["1.0", "123.9"], ["1234.0", "1."]),
        ("^[A-Z][a-z]*( [A-Z][a-z]*)?$", ["Ada", "Ada Lovelace"], ["ada", "Ada  L"]),
    ):
        yield {"type": "string", "pattern": pattern}, good, bad


def values() -> Iterator[Row]:
    """``enum``, ``const`` and ``type``."""
    every = [None, True, False, 0, -1, 12, 1.5, "", "a", 'q"\\', "ä€😀", [], [1, "a"], {}, {"a": 1}]
    for value in every:
        yield {"const": value}, [value], [one for one in ("zz", 77) if one != value]
    yield {"enum": every[:9]}, every[:9], ["b", 2]
    yield {"enum": ["red", "green", "blue"]}, ["red", "green", "blue"], ["yellow", "", 1]
    kinds: dict[str, list[Any]] = {
        "null": [None],
        "boolean": [True, False],
        "integer": [0, 1, -7, 123456],
        "number": [0, 1.5, -2.25, 1e3],
        "string": ["", "x", "ä€😀", 'a"b\\c\n'],
        "array": [[], [1], ["a", None, [True]]],
        "object": [{}, {"a": 1}, {"b": {"c": [1]}}],
    }
    for kind, good in kinds.items():
        wrong = [one[0] for name, one in kinds.items() if name != kind]
        wrong = [one for one in wrong if not (kind in ("number", "integer") and one == 0)]
        yield {"type": kind}, good, wrong
        yield {"type": [kind, "null"]}, [*good, None], []


def arrays() -> Iterator[Row]:
    """``items``, ``prefixItems``, ``minItems`` and ``maxItems``."""
    for low, high in ((0, 2), (1, 3), (2, 2), (3, 5)):
        schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}}
        yield (
            {**schema, "minItems": low, "maxItems": high},
            [[1] * low, [2] * high],
            [[3] * (high + 1), ["a"] * high, *([[4] * (low - 1)] if low else [])],
        )
    two = [{"type": "string", "maxLength": 3}, {"type": "boolean"}]
    yield (
        {"type": "array", "prefixItems": two, "items": False, "minItems": 2},
        [["a", True], ["", False]],
        [["a"], [True, "a"], ["a", True, 1]],
    )
    yield (
        {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 3},
        [[], ["x"], ["x", "y", "x"]],
        [["z"], ["x", "x", "x", "x"]],
    )


def objects() -> Iterator[Row]:
    """``properties``, ``required``, ``additionalProperties``, and objects in objects."""
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    short = {"type": "string", "maxLength": 4}
    for count in range(1, 6):
        names = LETTERS[:count]
        schema = {"type": "object", "properties": dict.fromkeys(names, digit)}
        closed = {**schema, "additionalProperties": False}
        whole = dict.fromkeys(names, 1)
        for required in range(count + 1):
            given = dict.fromkeys(names[:required], 2)
            yield (
                {**closed, "required": [*names[:required]]},
                [whole, given],
                [{**whole, "zz": 1}, {**whole, names[0]: "x"}],
            )
    yield (
        {"type": "object", "additionalProperties": short, "maxProperties": 2},
        [{}, {"a": "b"}],
        [{"a": 1}, [], 3],
    )
    inner = {
        "type": "object",
        "properties": {"x": digit, "y": short},
        "required": ["x"],
        "additionalProperties": False,
    }
    for depth in range(1, 5):
        good: Any = {"x": 1, "y": "ab"}
        schema = inner
        for _ in range(depth):
            schema = {
                "type": "object",
                "properties": {"in": schema, "list": {"type": "array", "items": digit}},
                "required": ["in"],
                "additionalProperties": False,
            }
            good = {"in": good, "list": [1, 2]}
        yield schema, [good], [{"in": 1}, {}, {"list": [1]}]


def combinations() -> Iterator[Row]:
    """``anyOf``, ``allOf``, ``$ref`` and ``$defs``."""
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    short = {"type": "string", "maxLength": 3}
    yield {"anyOf": [digit, short]}, [1, "a", ""], [10, "abcd", None]
    yield {"anyOf": [{"type": "null"}, {"type": "array", "items": digit}]}, [None, [1]], ["a", 1]
    yield {"allOf": [digit, {"minimum": 3}]}, [3, 9], [2, 10]
    yield {"oneOf": [digit, short]}, [1, "a"], [10, True]
    yield (
        {"$defs": {"d": digit}, "type": "array", "items": {"$ref": "#/$defs/d"}},
        [[1, 2], []],
        [["a"]],
    )
    tree = {
        "type": "object",
        "properties": {
            "value": digit,
            "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
        },
        "required": ["value"],
        "additionalProperties": False,
    }
    leaf = {"value": 1}
    yield (
        tree,
        [
            leaf,
            {"value": 2, "children": [leaf, leaf]},
            {"value": 3, "children": [{**leaf, "children": []}]},
        ],
        [{}, {"value": 1, "children": [1]}],
    )


def formats() -> Iterator[Row]:
    """``format``, of the kinds that a library without extras checks, too."""
    for name, good, bad in (
        ("date", ["2026-02-28", "1999-12-31"], []),
        ("ipv4", ["127.0.0.1", "8.8.8.8"], ["256.1.1.1", "1.2.3"]),
        ("email", ["ada@example.com"], ["ada"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123"]),
    ):
        yield {"type": "string", "format": name}, good, bad


FAMILIES = (
    *(bounds, multiples, lengths, patterns, values, arrays, objects, combinations, formats),
)


def rows() -> list[Row]:
    """All rows."""
    return [row for family in FAMILIES for row in family()]


def pairs(rows: list[Row]) -> list[tuple[dict[str, Any], Any, bool]]:
    """Each schema with each of its instances, and whether it is valid."""
    return [
        (schema, instance, is_valid)
        for schema, good, bad in rows
        for instances, is_valid in ((good, True), (bad, False))
        for instance in instances
    ]
