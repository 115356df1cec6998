"""Answers over a runtime without logits, which are checked and asked for anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from chat_templates import QWEN3
from inference_rig import Asked, Rig, furnish, user
from weather_tool import STOP, WEATHER, WEATHER_ONLY
from writing_runtime import WritingRuntime

from rkllm_twisted.errors import InternalError, InvalidParams, RuntimeRefused
from rkllm_twisted.inference.token_engines import TokenEngines
from rkllm_twisted.methods.text_structured import Params
from rkllm_twisted.structured.form import form_of
from rkllm_twisted.structured.instruction import instruction

#: The template of QWEN3 is gone on with so if a call has to come.
BEGUN = '<tool_call>\n{"name": "'
GOOD = 'weather", "arguments": {"days": 3, "place": "Bonn"}}\n</tool_call>'
WRONG = 'weather", "arguments": {"days": 30, "place": "Bonn"}}\n</tool_call>'
OTHER = 'stop", "arguments": {}}\n</tool_call>'
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@attrs.define
class Model:
    """A model whose tokens cannot be chosen.

    :ivar prompts: what the model has before it in each run, with what the cache holds.
    """

    rig: Rig
    prompts: list[str] = attrs.field(factory=list)

    def ask(self, *answers: str, **params: Any) -> Asked:
        given = {"tools": [WEATHER, STOP], "tool_choice": "required", **params}
        return self.begin("chat", answers, lambda: self.rig.ask([user("Will it rain?")], **given))

    def ask_text(self, *answers: str, **params: Any) -> Asked:
        def ask() -> Asked:
            asked = self.rig.begin("text.structured", Params(**{"prompt": "One is", **params}))
            self.rig.settle()
            return asked

        return self.begin("text", answers, ask)

    def begin(self, kind: str, answers: tuple[str, ...], ask: Any) -> Asked:
        runtime = self.rig.runtime
        runtime.answers = [*answers]
        self.prompts.clear()
        echo = runtime._echo

        def reading(arguments: Any, on_results: Any) -> Any:
            given = arguments["rkllm_input"]
            words = self.rig.runtime._vocabulary
            tokens = given.get("token_input", {}).get("input_ids", ())
            self.prompts.append(runtime.text + words.decode([*tokens]))
            return echo(arguments, on_results)

        runtime._echo = reading
        try:
            asked: Asked = ask()
        finally:
            runtime._echo = echo
        return asked


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = furnish(tmp_path_factory.mktemp("model"), "tokens", template=QWEN3)
    rig = Rig(path, "tokens", runtime=WritingRuntime())
    rig.runtime.is_mute = True
    rig.turns.watch.checked_load = rig.turns.watch.unsteered_load = 1
    return Model(rig)


def call_of(asked: Asked) -> tuple[str, Any]:
    if asked.error is not None:
        raise asked.error
    (call,) = asked.result["message"]["tool_calls"]
    return call["function"]["name"], json.loads(call["function"]["arguments"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wrong", [(), (WRONG,), (OTHER, "Bonn is nice.")], ids=len)
def test_a_call_is_asked_for_until_it_is_valid(
    model: Model, wrong: tuple[str, ...], stream: bool
) -> None:
    # The name of the only function stands in the prompt.
    rest = [one.removeprefix('weather", "arguments": ') for one in (*wrong, GOOD)]
    asked = model.ask(*rest, WRONG, tool_choice=WEATHER_ONLY, stream=stream)
    assert call_of(asked) == ("weather", {"days": 3, "place": "Bonn"})
    figures = asked.result["structured"]
    assert (figures["guaranteed"], figures["runs"]) == (False, 1 + len(wrong))
    assert model.rig.runtime.answers == [WRONG]
    assert bool(asked.pieces) is stream


@pytest.mark.parametrize("stream", [False, True])
def test_any_of_the_functions_may_be_called(model: Model, stream: bool) -> None:
    asked = model.ask(WRONG, OTHER, stream=stream)
    assert call_of(asked) == ("stop", {})
    sent = [piece["tool_call"] for piece in asked.pieces]
    assert [one["name"] for one in sent if "name" in one] == ["stop"] * stream


def test_after_three_calls_that_are_wrong_the_error_has_the_last(model: Model) -> None:
    asked = model.ask(WRONG, WRONG, WRONG.replace("30", "40"), GOOD, stream=True)
    assert isinstance(asked.error, RuntimeRefused)
    assert "did not call a function as its schema says in 3 attempts" in asked.error.message
    assert asked.error.data is not None
    assert asked.error.data["text"] == 'weather {"days": 40, "place": "Bonn"}'
    assert asked.pieces == []
    assert model.rig.runtime.answers == [GOOD]


def test_the_model_is_told_what_was_wrong(model: Model) -> None:
    call_of(model.ask(WRONG, GOOD))
    first, second = model.prompts
    assert '"days": 30' not in first
    assert '"days": 30' in second
    assert "no call of a function with arguments by its schema" in second


def test_a_call_that_the_limit_cuts_is_no_call(model: Model) -> None:
    asked = model.ask(GOOD, max_new_tokens=9)
    assert asked.result["finish_reason"] == "length"
    assert "tool_calls" not in asked.result["message"]
    assert asked.result["structured"]["guaranteed"] is False


@pytest.mark.parametrize("written", ['fly", "arguments": {}}', 'weather", "arguments": {]'])
def test_what_cannot_become_a_call_is_not_read_to_its_end(model: Model, written: str) -> None:
    call_of(model.ask(written + " and so on" * 50, GOOD))
    assert len(model.prompts) == 2
    assert model.prompts[1].count("and so on") < 9


@pytest.mark.parametrize("behind", [f"\n{BEGUN}{OTHER}", " That is it."])
def test_what_comes_behind_the_call_of_a_function_that_was_named_is_left_out(
    model: Model, behind: str
) -> None:
    arguments = GOOD.partition('"arguments": ')[2]
    asked = model.ask(arguments + behind + " and so on" * 50, tool_choice=WEATHER_ONLY)
    assert call_of(asked) == ("weather", {"days": 3, "place": "Bonn"})
    assert asked.result["message"]["content"] is None
    assert asked.result["usage"]["completion_tokens"] < 300


def test_beside_a_form_a_call_is_checked_too(model: Model) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "one", "schema": SCHEMA}}
    wrong, good = BEGUN + WRONG, BEGUN + GOOD
    asked = model.ask(wrong, good, tool_choice="auto", response_format=form)
    assert call_of(asked) == ("weather", {"days": 3, "place": "Bonn"})
    assert asked.result["structured"]["runs"] == 2


def test_a_schema_that_cannot_be_checked_is_named(model: Model) -> None:
    bad = {"type": "function", "function": {"name": "x", "parameters": {"not": {}}}}
    error = model.ask(GOOD, tools=[WEATHER, bad]).error
    assert isinstance(error, InvalidParams)
    assert error.data == {"parameter": "tools[1].function.parameters"}


def test_without_an_engine_the_call_is_the_models_own(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(kind: str) -> Any:
        raise InternalError("Install it.")

    monkeypatch.setattr(model.rig.turns, "engines", TokenEngines(none))
    asked = model.ask(WRONG)
    assert call_of(asked)[1]["days"] == 30
    assert "structured" not in asked.result


def test_a_text_is_continued_with_the_schema_in_the_prompt(model: Model) -> None:
    asked = model.ask_text('{"a": "x"}', '{"a": 1}', schema=SCHEMA)
    assert asked.result["parsed"] == {"a": 1}
    assert (asked.result["guaranteed"], asked.result["runs"]) == (False, 2)
    first, second = model.prompts
    for prompt in (first, second):
        assert "One is" in prompt
        assert json.dumps(SCHEMA) in prompt
    assert '{"a": "' in second.partition(json.dumps(SCHEMA))[2]
    assert "does not have the form" in second


def test_of_a_text_whose_prompt_is_tokens_nothing_is_added(model: Model) -> None:
    tokens = [*model.rig.runtime._vocabulary.encode(["One is"], first=False)]
    asked = model.ask_text("x", '{"a": 1}', prompt=tokens, schema=SCHEMA)
    assert asked.result["parsed"] == {"a": 1}
    assert {*model.prompts} == {"One is"}


def test_an_answer_that_was_wrong_is_left_out_if_there_is_no_room_for_it(model: Model) -> None:
    vocabulary = model.rig.runtime._vocabulary

    def size(text: str) -> int:
        return len([*vocabulary.encode([text], first=False)])

    told = f"\n{instruction(form_of('schema', SCHEMA))}\n"
    room = model.rig.context - size(f"One is{told}") - 10
    prompt = "One is" + " one" * (room // size(" one"))
    assert model.rig.context - 20 < size(prompt + told) < model.rig.context
    asked = model.ask_text("no " * 200, '{"a": 1}', prompt=prompt, schema=SCHEMA)
    assert asked.error is None
    assert asked.result["parsed"] == {"a": 1}
    assert model.prompts[0] == model.prompts[1]


def test_a_form_that_the_prompt_has_no_room_for_is_named(model: Model) -> None:
    choices = [f"choice number {number}" for number in range(1000)]
    error = model.ask_text("x", choices=choices).error
    assert isinstance(error, InvalidParams)
    assert error.message.startswith(
        "prompt: with the form, which the model has to be told, it has "
    )
    assert model.prompts == []


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "number"}, "123456789"),
        ({"type": "array", "items": {"type": "null"}}, "[null,null,null,null]"),
        ({"type": "string"}, '"and so on and so on"'),
    ],
)
def test_an_answer_that_the_limit_cuts_is_not_parsed(
    model: Model, schema: Any, written: str
) -> None:
    """A number that was cut would be another number."""
    asked = model.ask_text(written, schema=schema, max_new_tokens=2)
    assert asked.result["finish_reason"] == "length"
    assert asked.result["parsed"] is None
    assert asked.result["text"] in written
    assert asked.result["guaranteed"] is False


@pytest.fixture
def aborting(model: Model) -> Iterator[Model]:
    """A model whose runs a client aborts after the second token."""
    steps = iter([lambda: None, model.rig.npu.abort])
    model.rig.runtime.on_token = lambda: next(steps, lambda: None)()
    yield model
    model.rig.runtime.on_token = lambda: None


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_client_aborts_is_the_text_so_far(aborting: Model, stream: bool) -> None:
    asked = aborting.ask(GOOD, GOOD, stream=stream)
    assert asked.error is None
    assert asked.result["finish_reason"] == "cancelled"
    assert "tool_calls" not in asked.result["message"]
    content = asked.result["message"]["content"]
    assert content == BEGUN + "we"
    assert asked.result["structured"]["guaranteed"] is False
    assert aborting.rig.runtime.answers == [GOOD]
    assert asked.pieces == [{"content": content}] * stream


@pytest.mark.parametrize("stream", [False, True])
def test_a_form_that_a_client_aborts_is_the_text_so_far(aborting: Model, stream: bool) -> None:
    """Even if that would fit: the model might have gone on."""
    asked = aborting.ask_text("123456789", "1", schema={"type": "integer"}, stream=stream)
    assert asked.error is None
    assert asked.result["finish_reason"] == "cancelled"
    assert (asked.result["parsed"], asked.result["guaranteed"]) == (None, False)
    assert asked.result["text"] == "12345"
    assert aborting.rig.runtime.answers == ["1"]
    assert asked.pieces == [{"text": "12345"}] * stream
