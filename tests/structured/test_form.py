"""The form of an answer, as requests have it."""

from __future__ import annotations

from typing import Any

import pytest

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.structured.form import KINDS, MAX_TEXT, Form, response_form, the_form

GOOD: list[tuple[dict[str, Any], Form]] = [
    ({"schema": {"a": "ä"}}, Form("schema", '{"a": "ä"}', "schema")),
    ({"schema": {"const": 2**53}}, Form("schema", '{"const": 9007199254740992}', "schema")),
    ({"regex": "a+", "schema": None}, Form("regex", "a+", "regex")),
    ({"choices": ["a", "b"]}, Form("choices", '["a", "b"]', "choices")),
    ({"grammar": "start: x"}, Form("grammar", "start: x", "grammar")),
]


@pytest.mark.parametrize(("given", "form"), GOOD)
def test_one_form_is_read(given: dict[str, Any], form: Form) -> None:
    assert the_form(given) == form
    assert form.is_json == (form.kind == "schema")


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "schema"),
    ({"schema": {}, "regex": "a"}, "schema"),
    ({"schema": True}, "schema"),
    ({"schema": []}, "schema"),
    ({"schema": {"const": "a" * MAX_TEXT}}, "schema"),
    ({"schema": {"properties": {"a": {"enum": [0, 2**53 + 1]}}}}, "schema"),
    ({"schema": {"type": "integer", "minimum": -1e30}}, "schema"),
    ({"regex": ""}, "regex"),
    ({"regex": 1}, "regex"),
    ({"choices": "ab"}, "choices"),
    ({"choices": []}, "choices"),
    ({"choices": ["a", ""]}, "choices[1]"),
    ({"choices": ["a"] * 1001}, "choices"),
    ({"grammar": None}, "schema"),
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
