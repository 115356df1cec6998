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


def counts_of_members() -> Iterator[Row]:
    """``minProperties`` and ``maxProperties`` count all members, and only those of objects."""
    yield {"minProperties": 1}, [{"a": 1}, [], "", 7], [{}]
    yield {"maxProperties": 0}, [{}, [1], "a", None], [{"a": 1}]
    yield {"type": "object", "maxProperties": 1}, [{}, {"x": [2]}], [{"x": 1, "y": 2}]
    two = {"type": "object", "minProperties": 2, "maxProperties": 3, "additionalProperties": DIGIT}
    yield two, [{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}], [{"a": 1}, dict.fromkeys("abcd", 1)]


def small_steps() -> Iterator[Row]:
    """``multipleOf`` has decimal places, takes both signs and 0, and no other types."""
    yield {"type": "number", "multipleOf": 1.5}, [0, 4.5, -3], [1, 35.25]
    yield {"type": "number", "multipleOf": 0.001}, [0.007, 0.075], [0.00751]
    yield {"multipleOf": 2}, [10, -4, "odd", None, [3]], [7]
    yield {"type": "integer", "multipleOf": 0.5}, [3, -12], [0.5]


def allowed_or_not() -> Iterator[Row]:
    """``true`` and ``false`` as schemas of members, items and parts."""
    either = {"type": "object", "properties": {"yes": True, "no": False}}
    yield either, [{}, {"yes": [1]}, {"other": None}], [{"no": 1}, {"yes": 1, "no": None}]
    named = {"type": "object", "patternProperties": {"^y": True, "^n": False}}
    yield named, [{}, {"yes": 1}, {"other": 2}], [{"no": 1}, {"yes": 1, "no": 2}]
    yield {"type": "array", "prefixItems": [True, False]}, [[], [3]], [[3, 4], [3, None]]
    yield {"oneOf": [False, DIGIT]}, [4], ["x"]
    yield {"$defs": {"any": True}, "$ref": "#/$defs/any"}, [None, "x", [1]], []
    yield {"type": "object", "additionalProperties": True}, [{}, {"a": [{}]}], [[], "a"]
    yield {"anyOf": [{"const": 1}, True]}, [1, "x", None], []


def which_schema_counts() -> Iterator[Row]:
    """``properties``, then ``patternProperties``, then ``additionalProperties``."""
    three = {
        "type": "object",
        "properties": {"fix": {"type": "array", "maxItems": 1}},
        "patternProperties": {"^x": DIGIT},
        "additionalProperties": {"type": "boolean"},
    }
    yield (
        three,
        [{"fix": []}, {"fix": [1], "x1": 2, "z": True}, {"x": 0}, {"z": False}],
        [{"fix": [1, 2]}, {"x1": True}, {"z": 3}, {"fix": 1}],
    )
    yield (
        {"type": "object", "patternProperties": {"a+b": DIGIT, "^[0-9]+$": SHORT}},
        [{"xaab": 1}, {"12": "x"}, {"ba": "free"}, {}],
        [{"xaab": "1"}, {"12": 3}],
    )
    inherited = ["toString", "hasOwnProperty", "length"]
    yield (
        {"type": "object", "properties": dict.fromkeys(inherited, DIGIT)},
        [{}, {"toString": 1}, {"length": 3, "other": "x"}],
        [{"toString": "x"}, {"hasOwnProperty": None}],
    )
    yield {"type": "object", "properties": {"a": {"default": 3, **DIGIT}}}, [{}, {"a": 4}], [[]]


def types_in_lists() -> Iterator[Row]:
    """``type`` takes several, and a whole number may be written with a point."""
    yield {"type": ["string"]}, ["a"], [1]
    yield {"type": ["array", "object"]}, [[1], {"a": 1}], [1, "a", None]
    yield {"type": ["array", "object", "null"]}, [[], {}, None], [0, False, ""]
    yield {"type": ["integer", "string"]}, [1, "1"], [1.5, True, {}]
    yield {"type": "integer"}, [1.0, -7], ["1", 1.25]
    yield {"type": "number"}, [1, 1.5, -0.5, 1e9], ["1.5", None, True]


def references() -> Iterator[Row]:
    """``$ref`` to any part, by a name of its own, and to what refers on."""
    root = {"type": "object", "properties": {"a": DIGIT, "b": {"$ref": "#/properties/a"}}}
    yield root, [{"a": 1}, {"b": 2}, {"a": 1, "b": 2}], [{"b": "x"}, {"a": 1, "b": 10}]
    tail = {"type": "array", "prefixItems": [DIGIT, {"$ref": "#/prefixItems/0"}]}
    yield tail, [[1], [1, 2]], [[1, "x"]]
    yield {"$defs": {"x": {"$anchor": "here", **DIGIT}}, "$ref": "#here"}, [1], ["x"]
    chain = {"a": DIGIT, "b": {"$ref": "#/$defs/a"}, "c": {"$ref": "#/$defs/b"}}
    yield {"$defs": chain, "$ref": "#/$defs/c"}, [5], ["x", 55]
    yield (
        {"type": "object", "properties": {"$ref": {"$ref": "#/$defs/d"}}, "$defs": {"d": DIGIT}},
        [{"$ref": 1}, {}],
        [{"$ref": "x"}],
    )
    within = {"$id": "http://example.com/top", "$defs": {"i": {"$id": "inner", **DIGIT}}}
    yield {**within, "$ref": "inner"}, [6], ["x"]
    yield {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}, [[], [[], [[]]]], [[1], [[[3]]]]
    yield {"enum": [{"$ref": "a"}]}, [{"$ref": "a"}], [{"a": 1}]
    yield {"const": {"$ref": "#/x", "type": "poem"}}, [{"$ref": "#/x", "type": "poem"}], [{}]


def formats_of_texts() -> Iterator[Row]:
    """``format`` says nothing about what is no text."""
    for name in ("date", "ipv4", "email", "uuid", "time", "uri", "hostname", "ipv6"):
        yield {"format": name}, [12, 1.5, None, {}, [], False], []


FAMILIES = (
    *(equal_values, other_types, names, open_objects, parts_of_texts, number_forms),
    *(places_in_lists, together, counts_of_members, small_steps, allowed_or_not),
    *(which_schema_counts, types_in_lists, references, formats_of_texts),
)
