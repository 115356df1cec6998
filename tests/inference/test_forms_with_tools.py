"""Answers that are a call or have a form, over the bundled model and a runtime that writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from chat_templates import QWEN3
from inference_rig import Rig, furnish, user
from vocabularies import vocabulary
from writing_runtime import WritingRuntime

from rkllm_twisted.chat.segments import split_marks
from rkllm_twisted.chat.token_table import table_of
from rkllm_twisted.chat.tool_formats import TOOL_FORMATS
from rkllm_twisted.chat.tools import read_tools
from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.structured.begun_call import call_or
from rkllm_twisted.structured.form import form_of
from rkllm_twisted.structured.llguidance_engine import llguidance_engine

SCHEMA = {
    "type": "object",
    "properties": {"rain": {"type": "boolean"}},
    "required": ["rain"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "one", "schema": SCHEMA}}
ARGUMENTS = {
    "type": "object",
    "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["days"],
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": ARGUMENTS}}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"days": 3}}'


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    model = furnish(tmp_path, "tokens", template=QWEN3)
    return Rig(model, "tokens", runtime=WritingRuntime())


def ask(rig: Rig, **params: Any) -> Any:
    given = {"tools": [WEATHER], "response_format": FORM, **params}
    asked = rig.ask([user("Will it rain?")], **given)
    if asked.error is not None:
        raise asked.error
    return asked.result


@pytest.mark.parametrize("kind", ["schema", "regex", "choices"])
@pytest.mark.parametrize("format", TOOL_FORMATS)
def test_the_grammar_takes_a_call_and_the_form_and_nothing_else(format: str, kind: str) -> None:
    value: Any = {"schema": SCHEMA, "regex": r"a\/b/[a-c]", "choices": ['say "a/b"', "c"]}[kind]
    sentence = {"schema": '{"rain":true}', "regex": "a/b/c", "choices": 'say "a/b"'}[kind]
    words = vocabulary("byte_level")
    table = table_of(words, [words.control["<|im_end|>"]])
    calls = TOOL_FORMATS[format]
    form = call_or(form_of(kind, value), read_tools([WEATHER]), calls, words.control)
    engine = llguidance_engine
    call = calls.write("weather", '{"days":3}').removesuffix(calls.end.removeprefix("}"))
    call = call.replace(" ", "") if call.startswith("{") else call
    bad = call.replace("3", "9")
    for text, fits in ((sentence, True), (call, True), (bad, False), ("x", False)):
        constraint = engine.constrain(engine.tokens(table), form)
        tokens = _tokens(words, text)
        taken = constraint.consume(tokens)
        assert (taken == len(tokens) and constraint.accepting) is fits, text


def _tokens(words: Vocabulary, text: str) -> list[int]:
    return [*words.encode(split_marks(text, words.control), first=False)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_is_a_valid_call_or_has_the_form(rig: Rig, stream: bool) -> None:
    done = ask(rig, stream=stream)
    assert done["structured"]["guaranteed"] is True
    if calls := done["message"].get("tool_calls"):
        jsonschema.validate(json.loads(calls[0]["function"]["arguments"]), ARGUMENTS)
        assert done["structured"]["parsed"] is None
    else:
        jsonschema.validate(done["structured"]["parsed"], SCHEMA)


def test_with_required_the_answer_is_a_call(rig: Rig) -> None:
    done = ask(rig, tool_choice="required")
    (call,) = done["message"]["tool_calls"]
    jsonschema.validate(json.loads(call["function"]["arguments"]), ARGUMENTS)


def test_with_none_the_answer_has_the_form(rig: Rig) -> None:
    done = ask(rig, tool_choice="none")
    jsonschema.validate(done["structured"]["parsed"], SCHEMA)


@pytest.mark.parametrize("written", [CALL + "\n</tool_call>", '{"rain": true}'])
def test_where_tokens_cannot_be_chosen_a_call_is_the_models_own(rig: Rig, written: str) -> None:
    rig.runtime.is_mute = True
    rig.turns.watch.checked_load = 1
    rig.runtime.answers = [written]
    asked = rig.ask([user("Hm?")], tools=[WEATHER], response_format=FORM, stream=True)
    done = asked.result
    assert done["structured"]["guaranteed"] is False
    if "tool" in written:
        assert done["finish_reason"] == "tool_calls"
        arguments = [one["tool_call"].get("arguments", "") for one in asked.pieces]
        assert json.loads("".join(arguments)) == {"days": 3}
    else:
        assert done["structured"]["parsed"] == {"rain": True}
        assert [*asked.pieces] == [{"content": '{"rain": true}'}]


@pytest.fixture(scope="module")
def bundled() -> Iterator[Rig]:
    runtime = open_runtime("cpu", "1.3.0")
    yield Rig(demo_model(), runtime=runtime, context=512)
    runtime.close()


def test_the_bundled_model_does_one_of_both(bundled: Rig) -> None:
    form = {"type": "regex", "regex": "[a-f]{5}"}
    for _ in range(3):
        done = ask(bundled, response_format=form)
        calls = done["message"].get("tool_calls")
        assert calls or re.fullmatch("[a-f]{5}", done["message"]["content"])
