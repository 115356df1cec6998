"""The form of an answer, as requests have it."""

from __future__ import annotations

from typing import Any

import pytest

from rkllm_twisted.chat.token_table import byte_table
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.structured.form import (
    KINDS,
    MAX_DEPTH,
    MAX_OPTIONAL,
    MAX_TEXT,
    Form,
    form_of,
    response_form,
    the_form,
)
from rkllm_twisted.structured.llguidance_engine import llguidance_engine

GOOD: list[tuple[dict[str, Any], Form]] = [
    ({"schema": {"a": "ä"}}, Form("schema", '{"a": "ä"}', "schema")),
    ({"schema": {"const": 2**53}}, Form("schema", '{"const": 9007199254740992}', "schema")),
    ({"regex": "a+", "schema": None}, Form("regex", "a+", "regex")),
    ({"regex": "a\\\\"}, Form("regex", "a\\\\", "regex")),
    ({"choices": ["a", "b"]}, Form("choices", '["a", "b"]', "choices")),
    ({"grammar": "start: x"}, Form("grammar", "start: x", "grammar")),
]


@pytest.mark.parametrize(("given", "form"), GOOD)
def test_one_form_is_read(given: dict[str, Any], form: Form) -> None:
    assert the_form(given) == form
    assert form.is_json == (form.kind == "schema")


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels - 1):
        schema = {"type": "array", "items": schema}
    return schema


def with_optional(count: int) -> dict[str, Any]:
    names = [f"p{number}" for number in range(count)]
    properties = {name: {"type": "null"} for name in ("needed", *names)}
    return {"type": "object", "properties": properties, "required": ["needed"]}


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "schema"),
    ({"schema": {}, "regex": "a"}, "schema"),
    ({"schema": True}, "schema"),
    ({"schema": []}, "schema"),
    ({"schema": {"const": "a" * MAX_TEXT}}, "schema"),
    ({"schema": {"properties": {"a": {"enum": [0, 2**53 + 1]}}}}, "schema"),
    ({"schema": {"type": "integer", "minimum": -1e30}}, "schema"),
    ({"schema": {"const": 10**4000}}, "schema"),
    ({"schema": {"items": {"type": "string", "pattern": "^a\\"}}}, "schema"),
    ({"schema": {"patternProperties": {"^a\\": {}}}}, "schema"),
    ({"regex": "a\\"}, "regex"),
    ({"regex": "\\\\\\"}, "regex"),
    ({"regex": ""}, "regex"),
    ({"regex": 1}, "regex"),
    ({"choices": "ab"}, "choices"),
    ({"choices": []}, "choices"),
    ({"choices": ["a", ""]}, "choices[1]"),
    ({"choices": ["a"] * 1001}, "choices"),
    ({"grammar": None}, "schema"),
    ({"schema": nested(MAX_DEPTH + 1)}, "schema"),
    ({"schema": {"anyOf": [with_optional(MAX_OPTIONAL + 1)]}}, "schema"),
    ({"schema": {"const": "\ud800"}}, "schema"),
    ({"choices": ["\udfff"]}, "choices"),
    ({"regex": "a\udc00"}, "regex"),
]


@pytest.mark.parametrize(("given", "place"), BAD)
def test_a_wrong_form_is_named(given: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        the_form(given)
    assert caught.value.data == {"parameter": place}


FORMATS: list[tuple[Any, tuple[str, str] | None]] = [
    (None, None),
    ({"type": "text"}, None),
    ({"type": "json_object"}, ("schema", '{"type": "object"}')),
    (
        {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {"a": 1}}},
        ("schema", '{"a": 1}'),
    ),
    ({"type": "regex", "regex": "a"}, ("regex", "a")),
    ({"type": "choices", "choices": ["a"]}, ("choices", '["a"]')),
    ({"type": "grammar", "grammar": "x"}, ("grammar", "x")),
]


@pytest.mark.parametrize(("value", "form"), FORMATS)
def test_response_formats_are_forms(value: Any, form: tuple[str, str] | None) -> None:
    read = response_form(value)
    assert (None if read is None else (read.kind, read.text)) == form


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("json", "response_format"),
        ({}, "response_format"),
        ({"type": "poem"}, "response_format"),
        ({"type": "json_schema"}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": []}, "response_format.json_schema.schema"),
        ({"type": "regex"}, "response_format.regex"),
    ],
)
def test_a_wrong_response_format_is_named(value: Any, place: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        response_form(value)
    assert caught.value.data == {"parameter": place}


def test_the_error_lists_the_kinds() -> None:
    with pytest.raises(InvalidParams, match=", ".join(KINDS)):
        the_form({})


TOKENS = llguidance_engine.tokens(byte_table())
NO_TEXT = "there is no text that it allows"
#: The kind, the value, and what the error says.
IMPOSSIBLE: list[tuple[str, Any, str]] = [
    ("grammar", "start: start", NO_TEXT),
    ("grammar", "start: a\na: b\nb: a", NO_TEXT),
    ("grammar", "root ::= root", NO_TEXT),
    ("grammar", "start: missing", "missing"),
    ("grammar", "start: " + "(" * 500 + '"a"' + ")" * 500, "too deeply nested"),
    ("regex", r"[^\s\S]", NO_TEXT),
    ("regex", "(?=a)b", "look-ahead"),
    ("regex", "(a", "unclosed group"),
    ("regex", r"(a)\1", "backreferences"),
    ("schema", {"$ref": "#"}, NO_TEXT),
    ("schema", {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, NO_TEXT),
    (
        "schema",
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}
        | {"additionalProperties": False, "$defs": {"a": {"$ref": "#/$defs/a"}}},
        NO_TEXT,
    ),
    ("schema", {"$ref": "#/$defs/missing"}, "/$defs/missing"),
    ("schema", {"$ref": "https://example.com/a.json"}, "does not fetch"),
    ("schema", {"type": "string", "pattern": "(?!a)b"}, "look-ahead"),
    ("schema", {"enum": []}, "empty"),
    ("schema", {"type": "text"}, "text"),
    ("schema", {"minimum": 2, "maximum": 1, "type": "integer"}, "minimum"),
    ("schema", {"type": "string", "maxLength": 2**32}, "maxLength"),
    ("schema", {"type": "string", "minLength": 2**33}, "minLength"),
    ("schema", {"multipleOf": 2**53 - 1}, "multipleOf"),
    ("schema", {"type": "array", "items": {}, "minItems": 3, "maxItems": 2}, "minItems"),
    ("schema", {"minProperties": 3, "maxProperties": 2, "type": "object"}, "minProperties"),
    ("schema", {"not": {}}, "not"),
    ("schema", {"propertyNames": {"maxLength": 3}}, "propertyNames"),
    ("schema", {"contains": {"const": 1}, "minContains": 2}, "minContains"),
    ("schema", {"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ("schema", {"dependentSchemas": {"a": {}}}, "dependentSchemas"),
    ("schema", {"if": {}, "then": {"type": "null"}}, "then"),
    ("schema", {"unevaluatedItems": False}, "unevaluatedItems"),
    ("schema", {"unevaluatedProperties": False}, "unevaluatedProperties"),
    ("schema", {"$dynamicRef": "#a"}, "$dynamicRef"),
    ("schema", {"oneOf": [{"type": "integer"}, {"minimum": 2}]}, "oneOf"),
    ("schema", {"patternProperties": {"^a": {}, "^ab": {"type": "null"}}}, "/^ab/"),
    ("regex", "a$b", "lookaround"),
    ("regex", r"\bfoo", "lookaround"),
    ("schema", {"type": "array", "uniqueItems": True}, "uniqueItems"),
]


@pytest.mark.parametrize(("kind", "value", "said"), IMPOSSIBLE)
def test_what_cannot_be_kept_to_is_refused_in_one_sentence(
    kind: str, value: Any, said: str
) -> None:
    with pytest.raises(InvalidParams) as caught:
        llguidance_engine.constrain(TOKENS, form_of(kind, value))
    assert caught.value.data == {"parameter": kind}
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("schema", [nested(MAX_DEPTH), with_optional(MAX_OPTIONAL)])
def test_the_deepest_and_the_widest_schema_can_be_kept_to(schema: Any) -> None:
    assert not llguidance_engine.constrain(TOKENS, form_of("schema", schema)).stopped


@pytest.mark.parametrize("pattern", ["a{0,100000}", "(a{0,1000}){0,1000}"])
def test_large_repetitions_can_be_kept_to(pattern: str) -> None:
    constraint = llguidance_engine.constrain(TOKENS, form_of("regex", pattern))
    assert constraint.consume([*b"aa"]) == 2
