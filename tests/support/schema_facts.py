"""More schemas and instances: what validators and generators easily get wrong."""

from __future__ import annotations

from collections.abc import Iterator

from schema_cases import Row

DIGIT = {"type": "integer", "minimum": 0, "maximum": 9}
SHORT = {"type": "string", "maxLength": 4}


def equal_values() -> Iterator[Row]:
    """``const`` and ``enum``: true is not 1, false is not 0, and what looks alike may differ."""
    for value, others in (
        (False, [0]),
        (True, [1]),
        (0, [False, "", [], {}]),
        (1, [True, "1"]),
        ([False], [[0]]),
        ([1], [[True]]),
        ({"on": True}, [{"on": 1}]),
        ({"n": 0}, [{"n": False}]),
        ("up\u0000down", ["updown"]),
        ("tab\there", ["tab here"]),
        ("\u00e9", ["e\u0301"]),
        ("\u03bc", ["\u00b5"]),
        (-3, [3, -3.25]),
        ({"deep": [{"er": [None]}]}, [{"deep": [{"er": []}]}]),
    ):
        yield {"const": value}, [value], others
        yield {"enum": [value, "other"]}, [value, "other"], others
    yield {"enum": ["line\nend", "back\\slash", 'quote"']}, ["line\nend", 'quote"'], ["line end"]


def other_types() -> Iterator[Row]:
    """A keyword says nothing about values of other types."""
    yield from (
        ({"minimum": 4}, [4, 5.5, "low", None, [1]], [3]),
        ({"exclusiveMaximum": 2}, [1, True, {}], [2]),
        ({"maxLength": 2}, ["ab", 12345, [0]], ["abc"]),
        ({"minLength": 2}, ["ab", 1, {}], ["a"]),
        ({"pattern": "^k+$"}, ["kk", 7, None], ["m"]),
        ({"minItems": 1}, [[0], "", {}], [[]]),
        ({"maxItems": 1}, [[0], "abc", 9], [[1, 2]]),
        ({"items": DIGIT}, [[1], {}, "x"], [["x"]]),
        ({"required": ["r"]}, [{"r": 1}, [], "r", 4], [{}]),
        ({"properties": {"p": DIGIT}}, [{"p": 1}, {}, [], 8], [{"p": "x"}]),
        ({"additionalProperties": False}, [{}, [1], "s"], [{"x": 1}]),
    )


def names() -> Iterator[Row]:
    """Members whose names are keywords, or need to be escaped, or belong to every object."""
    odd = ["$ref", "type", "__proto__", "constructor", 'q"uote', "new\nline", "a/b", "~", "é", " "]
    for name in odd:
        yield (
            {
                "type": "object",
                "properties": {name: DIGIT},
                "required": [name],
                "additionalProperties": False,
            },
            [{name: 3}],
            [{}, {name: "3"}],
        )
    yield {"type": "object", "required": []}, [{}, {"x": 1}], [[]]
    yield (
        {"type": "object", "properties": {"n": {"type": "null"}}, "required": ["n"]},
        [{"n": None}],
        [{}, {"n": 0}],
    )
    yield {"type": "object", "required": ["unlisted"]}, [{"unlisted": [1]}], [{}]


def open_objects() -> Iterator[Row]:
    """``additionalProperties`` and ``patternProperties`` beside ``properties``."""
    listed = {"type": "object", "properties": {"a": DIGIT}}
    yield listed, [{"a": 1}, {"a": 1, "more": [None]}, {"more": "x"}], [{"a": "x"}]
    yield (
        {**listed, "additionalProperties": {"type": "boolean"}},
        [{"a": 1, "z": True}, {"z": False}],
        [{"a": 1, "z": 1}, {"a": True}],
    )
    yield (
        {"type": "object", "patternProperties": {"^n_": DIGIT}, "additionalProperties": False},
        [{"n_a": 1}, {}, {"n_": 2, "n_b": 3}],
        [{"m": 1}, {"n_a": "x"}],
    )
    yield (
        {**listed, "patternProperties": {"^é": SHORT}, "additionalProperties": False},
        [{"a": 2, "é1": "x"}, {"é": ""}],
        [{"e": "x"}, {"é": 1}],
    )
    yield {"type": "object", "minProperties": 1, "additionalProperties": DIGIT}, [{"x": 1}], [{}]


def parts_of_texts() -> Iterator[Row]:
    """``pattern`` is looked for anywhere, and lengths count characters beyond 16 bits once."""
    yield {"type": "string", "pattern": "bc"}, ["bc", "abcd", "äbc"], ["b", "cb"]
    yield {"type": "string", "pattern": "^x"}, ["x", "xyz"], ["yx"]
    yield {"type": "string", "pattern": "9$"}, ["9", "19"], ["91"]
    yield {"type": "string", "pattern": r"^\w+\s\w+$"}, ["ab c_1"], ["ab"]
    yield {"type": "string", "pattern": "^\\u00e9{2}$"}, ["éé"], ["e"]
    yield {"type": "string", "maxLength": 2}, ["😀😀", "a\u0301"], ["😀😀😀"]
    yield {"type": "string", "minLength": 2}, ["😀😀"], ["😀"]
    yield {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3}, ["abc"], ["abcd", "1"]


def number_forms() -> Iterator[Row]:
    """Bounds with fractions, of both signs and together, and ``multipleOf`` of fractions."""
    yield {"type": "number", "minimum": 0.25, "maximum": 0.75}, [0.25, 0.5, 0.75], [0.2, 0.76, 1]
    yield {"type": "number", "exclusiveMinimum": -1.5}, [-1.25, 0], [-1.5, -2]
    yield {"type": "number", "maximum": -0.5}, [-0.5, -3], [-0.25, 0]
    yield {"type": "integer", "minimum": 1.5, "maximum": 3.5}, [2, 3], [1, 4]
    yield {"type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 9}, [0.5, 2.25], [0.3]
    yield {"type": "integer", "minimum": 2, "exclusiveMinimum": 4}, [5], [4, 3]
    yield {"type": "integer", "multipleOf": 1}, [0, 77], [0.5]
    yield {"type": "integer", "minimum": -2147483648, "maximum": 2147483647}, [2147483647], [1e10]


def places_in_lists() -> Iterator[Row]:
    """``items`` counts from behind ``prefixItems``, of which an array may have fewer."""
    first = {"type": "array", "prefixItems": [SHORT], "items": DIGIT}
    yield first, [[], ["a"], ["a", 1, 2]], [["a", "b"], [1]]
    yield {"type": "array", "prefixItems": [SHORT, DIGIT]}, [["a"], ["a", 1], ["a", 1, None]], [[1]]
    yield {"type": "array", "items": False}, [[]], [[1]]
    yield {"type": "array", "items": True, "maxItems": 2}, [[None, "x"]], [[1, 2, 3]]
    yield {"type": "array", "items": {"type": "array", "items": DIGIT}}, [[[1], []]], [[1]]
    yield {"type": "array", "items": {"type": "null"}, "minItems": 1}, [[None]], [[0]]
    yield {"type": "array", "items": {}, "minItems": 0}, [[], [1, "a", {}]], [{}]


def together() -> Iterator[Row]:
    """What stands beside ``anyOf``, ``allOf``, ``oneOf`` and ``$ref`` counts, too."""
    yield {"type": "integer", "anyOf": [{"minimum": 50}, {"maximum": 5}]}, [3, 60], [20]
    yield {"type": "string", "anyOf": [{"maxLength": 1}, {"minLength": 4}]}, ["a", "abcd"], ["ab"]
    yield {"allOf": [{"minimum": 2}, {"maximum": 4}], "type": "integer"}, [2, 4], [1, 5]
    yield {"allOf": [{}, SHORT]}, ["ab"], [1]
    yield {"allOf": [{"allOf": [{"type": "null"}]}]}, [None], [0]
    yield {"anyOf": [{"anyOf": [{"type": "null"}]}]}, [None], [0]
    yield {"anyOf": [True, {"type": "null"}]}, [None, "any"], []
    yield {"anyOf": [False, DIGIT]}, [5], ["x"]
    yield {"oneOf": [{"const": "a"}, {"const": "b"}]}, ["a", "b"], ["c"]
    yield {"$defs": {"d": DIGIT}, "$ref": "#/$defs/d", "maximum": 3}, [3], [4]
    yield {"$defs": {"a/b": DIGIT}, "$ref": "#/$defs/a~1b"}, [1], ["x"]
    yield {"$defs": {"a~b": DIGIT}, "$ref": "#/$defs/a~0b"}, [1], ["x"]
    yield {"$defs": {"p%": DIGIT}, "$ref": "#/$defs/p%25"}, [1], ["x"]
    yield {"$defs": {"x": {"$ref": "#/$defs/y"}, "y": DIGIT}, "$ref": "#/$defs/x"}, [1], ["x"]
    yield {"definitions": {"old": SHORT}, "$ref": "#/definitions/old"}, ["x"], [1]
    both = {"type": "object", "properties": {"a": DIGIT}, "required": ["a"]}
    more = {"type": "object", "properties": {"b": SHORT}, "required": ["b"]}
    yield {"allOf": [both, more]}, [{"a": 1, "b": "x"}], [{"a": 1}, {"b": "x"}]
    yield (
        {"allOf": [{"$ref": "#/$defs/i"}, {"$ref": "#/$defs/i"}], "$defs": {"i": DIGIT}},
        [7],
        ["x"],
    )
    chain = {
        "type": "object",
        "properties": {"v": DIGIT, "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
        "required": ["v", "next"],
        "additionalProperties": False,
    }
    yield chain, [{"v": 1, "next": {"v": 2, "next": None}}], [{"v": 1}, {"v": 1, "next": 2}]
    says = {"title": "T", "description": "D", "default": "far", "examples": [1], "$comment": "c"}
    yield {**DIGIT, **says}, [4], ["far"]


FAMILIES = (
    *(equal_values, other_types, names, open_objects, parts_of_texts, number_forms),
    *(places_in_lists, together),
)
