"""The calls of an answer are checked when they are whole."""

from __future__ import annotations

import jsonschema
import pytest
from weather_tool import ARGUMENTS, STOP, WEATHER, WEATHER_ONLY

from rkllm_twisted.chat.token_table import byte_table
from rkllm_twisted.chat.tools import read_tools
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.structured.call_check import Begin, CallCheck, call_check
from rkllm_twisted.structured.form import Form
from rkllm_twisted.structured.llguidance_engine import llguidance_engine

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
