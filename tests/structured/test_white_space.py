"""JSON is made without white space between its parts, so that no model writes it for ever."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rkllm_twisted.chat.token_table import byte_table
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS
from rkllm_twisted.chat.tools import read_tools
from rkllm_twisted.structured.begun_call import call_or
from rkllm_twisted.structured.form import Form, form_of
from rkllm_twisted.structured.llguidance_engine import llguidance_engine
from rkllm_twisted.structured.loop import StructuredLoop
from rkllm_twisted.structured.picker import Picker
from rkllm_twisted.structured.sampling import SamplingSettings
from rkllm_twisted.structured.tool_form import call_form

TABLE = byte_table()
TOKENS = llguidance_engine.tokens(TABLE)
DIGIT = {"type": "integer", "minimum": 1, "maximum": 7}
SCHEMA = {
    "type": "object",
    "properties": {
        "a": DIGIT,
        "b": {"type": "array", "items": DIGIT, "minItems": 2, "maxItems": 2},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
}
TOOLS = read_tools([{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}])


def written(form: Form, start: str = "") -> str:
    """Return what a model writes that begins with a text and then wants white space only."""
    wish, said = start.encode(), bytearray()

    def row(tokens: Sequence[int]) -> Any:
        said.extend(tokens)
        found = np.zeros(TABLE.size, np.float32)
        found[[*b" \n\t\r"]] = 1
        found[[*b'}]"1']] = 0.5
        if len(said) - 1 < len(wish):
            found[wish[len(said) - 1]] = 2
        return found

    constraint, picker = llguidance_engine.constrain(TOKENS, form), Picker(SamplingSettings(), 1)
    loop = StructuredLoop(TABLE, constraint, picker, row, (65,), (65,), 300, lambda _: False)
    made = loop.run()
    assert made.reason == "stop", made.text
    return made.text


def is_compact(text: str) -> bool:
    return text == json.dumps(json.loads(text), separators=(",", ":"))


def test_an_answer_by_a_schema_has_none() -> None:
    assert is_compact(written(form_of("schema", SCHEMA)))


@pytest.mark.parametrize("name", TOOL_FORMATS)
def test_the_arguments_of_a_call_have_none(name: str) -> None:
    calls = TOOL_FORMATS[name]
    text = written(call_form(TOOLS, calls))
    assert text.startswith(f"f{calls.arguments}")
    arguments, brace, _ = text.removeprefix(f"f{calls.arguments}").rpartition("]}")
    assert is_compact(arguments + brace)


@pytest.mark.parametrize("start", ["{", "call"])
@pytest.mark.parametrize("name", TOOL_FORMATS)
def test_neither_has_an_answer_that_may_be_a_call(name: str, start: str) -> None:
    calls = TOOL_FORMATS[name]
    is_call = start == "call"
    form = call_or(form_of("schema", SCHEMA), TOOLS, calls, {})
    text = written(form, calls.beginning("f") if is_call else '{"a"')
    if is_call and not calls.begin.startswith("{"):
        text = text.removeprefix(calls.beginning("f"))
        text = text.partition("]}")[0] + "]}"
    assert is_compact(text)
