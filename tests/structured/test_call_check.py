"""The calls of an answer are checked when they are whole."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from weather_tool import ARGUMENTS, STOP, WEATHER, WEATHER_ONLY

from rkllm_twisted.chat.token_table import byte_table
from rkllm_twisted.chat.tools import read_tools
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.structured.call_check import Begin, CallCheck, call_check
from rkllm_twisted.structured.form import Form
from rkllm_twisted.structured.llguidance_engine import llguidance_engine
from rkllm_twisted.structured.member_order import order_of

TOKENS = llguidance_engine.tokens(byte_table())


def begin(form: Form) -> Begin:
    llguidance_engine.constrain(TOKENS, form)
    return lambda: llguidance_engine.constrain(TOKENS, form)


def check(*tools: object, choice: object = None) -> CallCheck:
    return call_check(read_tools([*tools], choice), begin)


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ('{"place":"Bonn","days":3}', True),
        ('{ "days" : 3,\n"place": "K\\u00f6ln" }', True),
        ('{"place":"Bonn","days":3,"more":[1,{"a":null}]}', True),
        ('{"place":"Bonn"}', False),
        ('{"place":"Bonn","days":8}', False),
        ('{"place":"Bonn","days":"3"}', False),
        ('{"place":"a longer name","days":3}', False),
        ('{"place":"\\ud800","days":3}', False),
        ('{"place":"Bonn","days":NaN}', False),
        ('{"place":"Bonn","days":3', False),
        ("[]", False),
        ("[" * 100_000, False),
        ("", False),
    ],
)
def test_arguments_fit_if_they_are_valid_in_whatever_order(arguments: str, fits: bool) -> None:
    assert check(WEATHER).fits("weather", arguments) is fits


def test_objects_in_lists_may_have_another_order_too() -> None:
    schema = {"type": "object", "properties": {"all": {"type": "array", "items": ARGUMENTS}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    for days, fits in ((3, True), (9, False)):
        value = {"all": [{"days": days, "place": "Bonn"}]}
        assert jsonschema.Draft202012Validator(schema).is_valid(value) is fits
        assert check(tool).fits("f", f'{{"all": [{{"days": {days}, "place": "Bonn"}}]}}') is fits


POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
    "required": ["x", "y"],
}
BACK = {"properties": {"y": {"type": "integer"}, "x": {"type": "null"}}, "required": ["y", "x"]}
NUMBER = {"type": "number"}


def function(schema: object) -> object:
    return {"type": "function", "function": {"name": "f", "parameters": schema}}


def holding(point: object, **more: object) -> dict[str, object]:
    return {"type": "object", "properties": {"p": point}, "required": ["p"], **more}


#: What a schema has inside -> the schema, a valid value in its order, one in another order, and one
#: that is not valid.
SHAPES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "$ref": (
        holding({"$ref": "#/$defs/P"}, **{"$defs": {"P": POINT}}),
        '{"p":{"x":1,"y":2}}',
        '{"p":{"y":2,"x":1}}',
        '{"p":{"y":2,"x":"1"}}',
    ),
    "$ref at the top": (
        {"$ref": "#/$defs/P", "$defs": {"P": POINT}},
        '{"x":1,"y":2}',
        '{"y":2,"x":1}',
        '{"y":2}',
    ),
    "$ref to itself": (
        {**POINT, "properties": {**POINT["properties"], "more": {"$ref": "#"}}},
        '{"x":1,"y":2,"more":{"x":1,"y":2}}',
        '{"more":{"y":2,"x":1},"y":2,"x":1}',
        '{"more":{"y":2},"y":2,"x":1}',
    ),
    "anyOf": (
        holding({"anyOf": [POINT, {"type": "null"}]}),
        '{"p":{"x":1,"y":2}}',
        '{"p":{"y":2,"x":1}}',
        '{"p":{"y":2}}',
    ),
    "anyOf with two orders": (
        holding({"anyOf": [POINT, {"type": "object", **BACK}]}),
        '{"p":{"y":2,"x":null}}',
        '{"p":{"x":null,"y":2}}',
        '{"p":{"x":null,"y":"2"}}',
    ),
    "allOf": (
        {
            "type": "object",
            "allOf": [{"$ref": "#/$defs/P"}, {"properties": {"a": NUMBER}, "required": ["a"]}],
            "properties": {"c": NUMBER},
            "$defs": {"A": {"properties": {"a": NUMBER}}, "P": POINT},
        },
        '{"x":1,"y":2,"a":3,"c":4}',
        '{"a":3,"c":4,"y":2,"x":1}',
        '{"c":4,"y":2,"x":1}',
    ),
    "additionalProperties": (
        holding({"type": "object", "additionalProperties": POINT}),
        '{"p":{"a":{"x":1,"y":2}}}',
        '{"p":{"a":{"y":2,"x":1}}}',
        '{"p":{"a":{"y":2}}}',
    ),
    "prefixItems": (
        holding({"type": "array", "prefixItems": [NUMBER, POINT]}),
        '{"p":[1,{"x":1,"y":2}]}',
        '{"p":[1,{"y":2,"x":1}]}',
        '{"p":[1,{"y":2}]}',
    ),
    "const": (
        holding({"const": {"x": 1, "b": 2, "a": 3}}, **{"$defs": {"P": POINT}}),
        '{"p":{"x":1,"b":2,"a":3}}',
        '{"p":{"a":3,"b":2,"x":1}}',
        '{"p":{"a":3,"b":2}}',
    ),
    "a property that is named properties": (
        {"type": "object", "properties": {"z": NUMBER, "properties": POINT}},
        '{"z":1,"properties":{"x":1,"y":2}}',
        '{"properties":{"y":2,"x":1},"z":1}',
        '{"properties":{"y":2},"z":1}',
    ),
    "a required name that is not described": (
        {"type": "object", "properties": {"z": NUMBER}, "required": ["a", "z"]},
        '{"z":1,"a":2}',
        '{"a":2,"z":1}',
        '{"z":1}',
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_does_not_matter_wherever_an_object_stands(shape: str) -> None:
    schema, *valid, wrong = SHAPES[shape]
    for arguments in (*valid, wrong):
        is_valid = jsonschema.Draft202012Validator(schema).is_valid(json.loads(arguments))
        assert is_valid is (arguments != wrong)
        assert check(function(schema)).fits("f", arguments) is is_valid


@pytest.mark.parametrize(
    ("schema", "valid", "wrong"),
    [
        ({"type": "integer"}, ["1.0", "1e2", "-0.0", "120E-1"], ["1.5", "1e-1", "1e400"]),
        ({"type": "number", "maximum": 1}, ["1e-7", "1.0", "-1e22", "0.5"], ["1.5", "1e1"]),
        ({"enum": [1, 0.5]}, ["1.0", "5e-1"], ["1e1"]),
        (
            {"type": "string", "maxLength": 2},
            ['"\\u007f"', '"\x7f"', '"\\u001ba"'],
            ['"\x7f\x7fa"'],
        ),
    ],
)
def test_a_value_may_be_written_in_any_way(
    schema: object, valid: list[str], wrong: list[str]
) -> None:
    checked = check(function(holding(schema)))
    assert [one for one in valid if not checked.fits("f", f'{{"p": {one}}}')] == []
    assert [one for one in wrong if checked.fits("f", f'{{"p": {one}}}')] == []


@pytest.mark.parametrize(
    "arguments", ['{"p":"bad","p":1}', '{"p":1,"p":1}', '{"p":1,"q":{"a":1,"a":1}}']
)
def test_a_name_that_comes_twice_does_not_fit(arguments: str) -> None:
    assert not check(function(holding(NUMBER))).fits("f", arguments)


def test_a_chain_of_references_may_be_long() -> None:
    chain = {
        f"D{n}": {"type": "object", "properties": {"a": {"$ref": f"#/$defs/D{n + 1}"}}}
        for n in range(3000)
    }
    schema = {"$ref": "#/$defs/D0", "$defs": {**chain, "D3000": POINT}}
    assert order_of(schema).places == {"a": 0, "x": 1, "y": 2}


def test_a_function_without_a_schema_takes_any_object() -> None:
    assert check(STOP).fits("stop", "{}")
    assert check(STOP).fits("stop", '{"now": true}')
    assert not check(STOP).fits("stop", "1")


def test_another_function_than_the_one_that_was_named_does_not_fit() -> None:
    named = check(WEATHER, STOP, choice=WEATHER_ONLY)
    assert named.fits("weather", '{"place":"Bonn","days":3}')
    assert not named.fits("stop", "{}")
    assert check(WEATHER, STOP).fits("stop", "{}")
    assert not check(WEATHER).fits("fly", "{}")


@pytest.mark.parametrize("parameters", [{"not": {}}, []])
def test_a_schema_that_cannot_be_kept_to_is_named(parameters: object) -> None:
    bad = {"type": "function", "function": {"name": "x", "parameters": parameters}}
    with pytest.raises(InvalidParams) as caught:
        check(STOP, bad)
    assert caught.value.data == {"parameter": "tools[1].function.parameters"}
