"""Calls that the model begins by itself, over a runtime that writes what a test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
from chat_templates import CHATML, QWEN3
from inference_rig import Asked, Rig, furnish, user
from weather_tool import SCHEMAS, STOP, WEATHER
from writing_runtime import WritingRuntime

from rkllm_twisted.errors import InternalError
from rkllm_twisted.inference.token_engines import TokenEngines

#: What a model writes that does not know the schema.
WRONG = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call>'


@attrs.define
class Model:
    """A model that writes, and its rig."""

    rig: Rig
    runtime: WritingRuntime

    def ask(self, *answers: str, **params: Any) -> Any:
        asked = self.begin(*answers, **params)
        if asked.error is not None:
            raise asked.error
        return asked.result

    def begin(self, *answers: str, **params: Any) -> Asked:
        self.runtime.answers = [*answers]
        given = {"tools": [WEATHER, STOP], **params}
        return self.rig.ask([user("Will it rain?")], **given)


def a_model(directory: Path, template: str = QWEN3, **how: Any) -> Model:
    runtime = WritingRuntime(**how)
    rig = Rig(furnish(directory, "tokens", template=template), "tokens", runtime=runtime)
    return Model(rig, runtime)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return a_model(tmp_path)


def valid(call: Any) -> bool:
    """True if a call has a function's name; its arguments are checked by its schema."""
    function = call["function"]
    if function["name"] not in SCHEMAS:
        return False
    jsonschema.validate(json.loads(function["arguments"]), SCHEMAS[function["name"]])
    return True


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_the_model_begins_keeps_to_its_schema(model: Model, stream: bool) -> None:
    asked = model.begin(f"I look. {WRONG}", "\n</tool_call>", stream=stream)
    done = asked.result
    (call,) = done["message"]["tool_calls"]
    assert valid(call)
    assert done["message"]["content"] == "I look."
    assert done["finish_reason"] == "tool_calls"
    assert done["structured"]["guaranteed"] is True
    assert done["structured"]["runs"] > 0
    if stream:
        pieces = [one["tool_call"] for one in asked.pieces if "tool_call" in one]
        assert "".join(one.get("arguments", "") for one in pieces) == call["function"]["arguments"]
        assert asked.pieces[0] == {"content": "I"}


def test_an_answer_without_a_call_is_one_run_as_ever(model: Model) -> None:
    done = model.ask("It will <b>rain</b>.")
    assert done["message"]["content"] == "It will <b>rain</b>."
    assert "structured" not in done
    assert len(model.runtime.reads) == 1


@pytest.mark.parametrize("lacks_last", [False, True])
@pytest.mark.parametrize("text", [WRONG, WRONG.replace(" ", ""), WRONG.replace("weather", "rain")])
def test_what_comes_after_the_abort_is_used_or_taken_back(
    model: Model, text: str, lacks_last: bool
) -> None:
    model.runtime.lacks_last = lacks_last
    for lag in (0, 1, 2, 5, 8):
        model.runtime.lag = lag
        done = model.ask(text, "\n</tool_call>")
        assert valid(*done["message"]["tool_calls"])
        assert done["message"]["content"] is None
        trail = model.rig.turns.watch.known.trail
        assert trail is not None
        assert len(trail.tokens) == len(model.runtime.cache)


@pytest.mark.parametrize("lacks_last", [False, True])
def test_the_free_part_is_not_read_again(model: Model, lacks_last: bool) -> None:
    model.runtime.lacks_last = lacks_last
    model.ask(WRONG, "\n</tool_call>")
    assert sum(model.runtime.reads[1:]) < model.runtime.reads[0]
    assert model.runtime.performed.count("rkllm_clear_kv_cache") == 1


def test_each_of_several_calls_keeps_to_its_schema(model: Model) -> None:
    done = model.ask(WRONG, f"\n</tool_call>\n{WRONG}", "\n</tool_call>")
    calls = done["message"]["tool_calls"]
    assert len(calls) == 2
    assert all(valid(call) for call in calls)
    assert done["structured"]["guaranteed"] is True


def test_the_conversation_goes_on_in_the_cache(model: Model) -> None:
    first = model.ask(WRONG, "\n</tool_call>")
    call = first["message"]["tool_calls"][0]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Sun."}
    model.runtime.answers = ["It is dry."]
    talk = [user("Will it rain?"), first["message"], result]
    second = model.rig.ask(talk, tools=[WEATHER, STOP])
    assert second.text == "It is dry."
    held = second.result["usage"]["cached_tokens"]
    assert held == 0 or held > first["usage"]["prompt_tokens"]


def test_the_limit_of_tokens_is_that_of_the_whole_answer(model: Model) -> None:
    for limit in (1, 2, 3, 5, 8, 13, 400):
        done = model.ask(WRONG, "\n</tool_call>", max_new_tokens=limit)
        assert done["usage"]["completion_tokens"] <= limit
        if done["finish_reason"] == "tool_calls":
            assert valid(*done["message"]["tool_calls"])
        else:
            assert "tool_calls" not in done["message"]
    assert done["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"name": "weather", "parameters": {"city": "Bonn"}}\n```',
        '{"name": "weather", "parameters": {"city": "Bonn"}}',
        '{"name":"weather","arguments":{"city":"Bonn"}}',
    ],
)
def test_without_a_mark_of_its_own_a_call_begins_with_a_functions_name(
    tmp_path: Path, text: str
) -> None:
    model = a_model(tmp_path, CHATML)
    for model.runtime.lag in (0, 1, 3):
        done = model.ask(text, "\n```")
        (call,) = done["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"
        assert valid(call)


def test_other_json_than_a_call_stays_free(tmp_path: Path) -> None:
    model = a_model(tmp_path, CHATML)
    text = '```json\n{"name": "Ada", "age": 36}\n```'
    done = model.ask(text)
    assert done["message"]["content"] == text
    assert "structured" not in done


def test_where_tokens_cannot_be_chosen_the_call_is_the_models_own(model: Model) -> None:
    """Found out at the first row, and before the run after that."""
    model.runtime.keeps_array_runs = lambda _: False
    first = model.ask(f"Well. {WRONG}", '"weather", "arguments": {}}\n</tool_call>')
    assert "structured" not in first
    assert model.rig.turns.watch.unsteered_load == 1
    second = model.ask(WRONG)
    assert second["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Bonn"}'
    assert "structured" not in second


def test_without_an_engine_or_with_a_schema_that_it_cannot_do_it_is_as_without(
    model: Model,
) -> None:
    bad = {"type": "function", "function": {"name": "weather", "parameters": {"not": {}}}}
    assert "structured" not in model.ask(WRONG, tools=[bad])

    def none(kind: str) -> Any:
        raise InternalError("Install it.")

    model.rig.turns.engines = TokenEngines(none)
    done = model.ask(WRONG)
    assert done["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Bonn"}'


def test_none_is_a_choice_that_leaves_everything_as_text(model: Model) -> None:
    assert model.ask(WRONG, tool_choice="none")["message"]["content"] == WRONG


@pytest.mark.parametrize("text", ["It will rain all day.", WRONG])
def test_an_answer_that_a_client_aborts_is_cut_off(model: Model, text: str) -> None:
    """Before a call, and at its mark."""
    model.runtime.on_token = model.rig.npu.abort
    assert model.ask(text, "\n</tool_call>")["finish_reason"] == "cancelled"
    model.runtime.on_token = lambda: None
    assert valid(*model.ask(WRONG, "\n</tool_call>")["message"]["tool_calls"])


def test_a_call_that_a_client_aborts_while_it_is_made_is_cut_off(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = model.runtime._send_arrays

    def abort_and_send(*args: Any) -> None:
        model.rig.npu.abort()
        send(*args)

    with monkeypatch.context() as patch:
        patch.setattr(model.runtime, "_send_arrays", abort_and_send)
        assert model.ask(WRONG, "\n</tool_call>")["finish_reason"] == "cancelled"
    assert valid(*model.ask(WRONG, "\n</tool_call>")["message"]["tool_calls"])
