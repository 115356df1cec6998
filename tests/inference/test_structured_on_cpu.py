"""Answers in a form with the bundled model on the embedded runtime."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from daemons import Daemon
from inference_rig import Asked, Rig
from twisted.plugin import IPlugin
from weather_tool import ARGUMENTS, SCHEMAS, STOP, WEATHER, WEATHER_ONLY
from zope.interface import implementer

from rkllm_twisted.blocking import Client
from rkllm_twisted.chat.token_table import TokenTable
from rkllm_twisted.chat.tool_formats import ToolFormat
from rkllm_twisted.constraint_interfaces import IConstraint, IConstraintEngine
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.inference.array_run import token_input
from rkllm_twisted.inference.token_engines import TokenEngines
from rkllm_twisted.methods.text_structured import Params
from rkllm_twisted.runtime.runtime import open_runtime

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 16},
        "kind": {"enum": ["module", "class", "function"]},
        "arguments": {"type": "integer", "minimum": 0, "maximum": 9},
        "pure": {"type": "boolean"},
    },
    "required": ["name", "kind", "arguments", "pure"],
    "additionalProperties": False,
}
PROMPT = "The json module of Python is"
RELEASES = ("1.2.1", "1.3.0")


class Model:
    """The bundled model, and what clients ask it."""

    def __init__(self, release: str) -> None:
        self._runtime = open_runtime("cpu", release)
        self.rig = Rig(demo_model(), runtime=self._runtime, context=512)

    def start(self, client: object = None, **params: Any) -> Asked:
        given = Params(**{"prompt": PROMPT, **params})
        return self.rig.begin("text.structured", given, client)

    def ask(self, **params: Any) -> Any:
        asked = self.start(**params)
        self.rig.settle()
        if asked.error is not None:
            raise asked.error
        return asked.result

    def close(self) -> None:
        self._runtime.close()


@pytest.fixture(scope="module", params=RELEASES)
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    model = Model(request.param)
    yield model
    model.close()


def test_an_answer_keeps_to_its_schema(model: Model) -> None:
    done = model.ask(schema=SCHEMA)
    jsonschema.validate(done["parsed"], SCHEMA)
    assert json.loads(done["text"]) == done["parsed"]
    assert (done["finish_reason"], done["guaranteed"]) == ("stop", True)
    assert done["runs"] == done["tokens"] - done["forced"]
    assert done["forced"] > done["runs"]
    assert done["usage"]["completion_tokens"] == done["tokens"]


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_makes_other_answers_that_keep_to_it(model: Model, seed: int) -> None:
    how = {"top_k": 40, "top_p": 1.0, "temperature": 1.5, "seed": seed}
    first, second = (model.ask(schema=SCHEMA, sampling=how) for _ in range(2))
    jsonschema.validate(first["parsed"], SCHEMA)
    assert first["text"] == second["text"]


def test_a_pattern_is_kept_to(model: Model) -> None:
    done = model.ask(regex=r"[A-Z][a-z]{2,9}( [a-z]{1,9}){2}\.")
    assert re.fullmatch(r"[A-Z][a-z]{2,9}( [a-z]{1,9}){2}\.", done["text"])
    assert done["parsed"] is None


def test_one_of_the_choices_is_taken(model: Model) -> None:
    choices = ["a module", 'a "class" \\ of', "ein Modul für 😀"]
    assert model.ask(choices=choices)["text"] in choices
    assert model.ask(choices=choices[2:])["text"] == choices[2]


@pytest.mark.parametrize(
    "grammar", ['root ::= "a" [0-9] ("," [0-9])?', 'start: "a" /[0-9](,[0-9])?/']
)
def test_a_grammar_is_kept_to(model: Model, grammar: str) -> None:
    assert re.fullmatch("a[0-9](,[0-9])?", model.ask(grammar=grammar)["text"])


def test_an_answer_without_an_end_is_cut_off_and_not_parsed(model: Model) -> None:
    done = model.ask(schema={"type": "string", "minLength": 400}, max_new_tokens=20)
    assert (done["finish_reason"], done["parsed"], done["tokens"]) == ("length", None, 20)


def test_it_is_streamed_in_pieces(model: Model) -> None:
    asked = model.start(schema=SCHEMA, stream=True)
    model.rig.settle()
    assert "".join(piece["text"] for piece in asked.pieces) == asked.result["text"]
    assert len(asked.pieces) > 3


def test_a_stop_text_ends_it(model: Model) -> None:
    done = model.ask(schema=SCHEMA, stop='"kind"')
    assert done["text"].endswith(",")
    assert (done["finish_reason"], done["parsed"]) == ("stop", None)


def test_a_prompt_that_goes_on_is_not_read_again(model: Model) -> None:
    first = model.ask(schema=SCHEMA)
    again = model.ask(prompt=f"{PROMPT}{first['text']} or", choices=["yes", "no"])
    assert again["usage"]["cached_tokens"] > first["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("params", "place", "words"),
    [
        ({"schema": {"not": {}}}, "schema", r'Unimplemented keys: \["not"\]'),
        ({"schema": {"type": "poem"}}, "schema", "Invalid type: poem"),
        ({"schema": {"$ref": "https://example.com/a"}}, "schema", "example.com"),
        ({"regex": "[a"}, "regex", "unclosed character class"),
        ({"grammar": "start: b"}, "grammar", 'unknown name: "b"'),
        ({"grammar": "root ::= (("}, "grammar", "cannot be"),
        ({"schema": {}, "max_new_tokens": 0}, "max_new_tokens", "at least 1"),
        ({"schema": {}, "sampling": {"heat": 1}}, "sampling.heat", "no such field"),
        ({"schema": {}, "lora": "x"}, "lora", "no adapter"),
    ],
)
def test_what_cannot_be_done_is_named(model: Model, params: Any, place: str, words: str) -> None:
    with pytest.raises(InvalidParams, match=words) as caught:
        model.ask(**params)
    assert caught.value.data is not None
    assert caught.value.data["parameter"] == place


def test_a_run_of_a_clients_own_reads_nothing_of_it(model: Model) -> None:
    fields = model.rig.turns.traits.run_fields
    infer = {"max_new_tokens": 12} if "max_new_tokens" in fields else {}

    def text() -> str:
        asked = model.rig.run("What is a list?", **infer)
        model.rig.settle()
        return asked.text

    before = text()
    model.ask(schema=SCHEMA)
    assert before == text() != ""


@implementer(IConstraint)
class Anything:
    """Every token is allowed."""

    stopped = accepting = False

    def __init__(self, table: TokenTable) -> None:
        self._control = table.control - table.ends

    def fill(self, mask: bytearray) -> None:
        mask[:] = b"\xff" * len(mask)

    def consume(self, tokens: Sequence[int]) -> int:
        return len(tokens)

    def forced(self) -> Sequence[int]:
        return ()


@implementer(IPlugin, IConstraintEngine)
class AnythingEngine:
    """Makes constraints that allow everything."""

    name, kinds = "anything", frozenset({"regex"})

    def missing(self) -> None:
        return None

    def tokens(self, table: TokenTable) -> TokenTable:
        return table

    def constrain(self, tokens: TokenTable, form: object) -> Anything:
        return Anything(tokens)


HOW: list[dict[str, Any]] = [
    {"top_k": 1},
    {"top_k": 1, "repeat_penalty": 1.3},
    {"top_k": 20, "top_p": 0.9, "temperature": 0.8},
    {"top_k": 0, "top_p": 1.0, "temperature": 1.2, "frequency_penalty": 0.4},
    {"top_k": 40, "top_p": 0.5, "temperature": 2.0, "presence_penalty": 0.6, "repeat_penalty": 1.1},
    {"top_k": 40, "temperature": 0.9, "mirostat": 1, "mirostat_tau": 3.0},
    {"top_k": 40, "temperature": 0.9, "mirostat": 2, "mirostat_tau": 3.0},
]


@pytest.mark.parametrize("how", HOW, ids=str)
def test_without_a_form_it_is_what_the_runtime_itself_writes(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same text for the same seed, so that tokens are chosen as the runtime chooses them."""
    monkeypatch.setenv("RKLLM_CPU_SEED", "11")
    model = Model("1.3.0")
    own: list[str] = []
    tokens = [1, *range(300, 310)]
    given = token_input(tokens)
    infer = {"sampling_params": how, "max_new_tokens": 40}
    model.rig.npu.run("rkllm_run", [given, infer], lambda one: own.append(one["text"] or ""))
    model.rig.settle()
    model.rig.turns.engines = TokenEngines(lambda _: AnythingEngine())
    sampling = {**how, "seed": 11}
    done = model.ask(prompt=tokens, regex="x", sampling=sampling, max_new_tokens=40)
    model.close()
    assert done["text"] == "".join(own)
    assert done["tokens"] >= 12


def chat(model: Model, **params: Any) -> Any:
    """Ask in a conversation."""
    asked = model.rig.ask([{"role": "user", "content": "What is json?"}], **params)
    if asked.error is not None:
        raise asked.error
    return asked.result


def json_schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "one", "schema": schema}}


def test_a_conversation_is_answered_in_a_form(model: Model) -> None:
    done = chat(model, response_format=json_schema(SCHEMA))
    jsonschema.validate(json.loads(done["message"]["content"]), SCHEMA)
    assert done["structured"]["parsed"] == json.loads(done["message"]["content"])
    assert done["structured"]["guaranteed"] is True
    assert done["tier"] == "tokens"


def test_other_forms_of_answers_are_kept_to(model: Model) -> None:
    done = chat(model, response_format={"type": "regex", "regex": "[a-f]{5}"})
    assert re.fullmatch("[a-f]{5}", done["message"]["content"])
    long = json_schema(
        {"type": "object", "properties": {"a": {"minLength": 400}}, "required": ["a"]}
    )
    for form in (long, {"type": "json_object"}):
        cut = chat(model, response_format=form, max_new_tokens=1)
        assert cut["message"]["content"].startswith("{")
        assert (cut["finish_reason"], cut["structured"]["parsed"]) == ("length", None)


IMPOSSIBLE = {"type": "function", "function": {"name": "x", "parameters": {"not": {}}}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", WEATHER_ONLY], ids=["required", "named"])
def test_a_call_that_has_to_come_has_valid_arguments(
    model: Model, choice: Any, stream: bool
) -> None:
    done = chat(model, tools=[WEATHER, STOP], tool_choice=choice, stream=stream)
    (call,) = done["message"]["tool_calls"]
    name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
    assert done["finish_reason"] == "tool_calls"
    assert name == "weather" or (name == "stop" and choice == "required")
    jsonschema.validate(arguments, SCHEMAS[name])
    assert done["structured"]["guaranteed"] is True


def test_a_call_that_the_limit_cuts_is_text(model: Model) -> None:
    cut = []
    for limit in range(1, 80, 6):
        done = chat(model, tools=[WEATHER], tool_choice="required", max_new_tokens=limit)
        message, reason = done["message"], done["finish_reason"]
        calls = message.get("tool_calls", ())
        assert reason == ("tool_calls" if calls else "length")
        assert bool(message["content"]) is not bool(calls)
        for call in calls:
            jsonschema.validate(json.loads(call["function"]["arguments"]), ARGUMENTS)
        cut.append(not calls)
    assert {*cut} == {True, False}


def test_calls_are_read_as_tokens_after_a_conversation_in_the_slots(model: Model) -> None:
    """Without tools the bundled model's conversations are in the slots of its template."""
    assert chat(model)["tier"] == "template"
    with_tools = chat(model, tools=[STOP], max_new_tokens=8)
    assert with_tools["tier"] == "tokens"
    assert model.rig.turns.watch.known.empty_slot is None
    assert model.rig.turns.watch.known.trail is not None  # so nothing else was read


def test_a_tools_schema_that_cannot_be_kept_to_is_named(model: Model) -> None:
    with pytest.raises(InvalidParams, match='"not"') as caught:
        chat(model, tools=[STOP, IMPOSSIBLE], tool_choice="required")
    assert caught.value.data == {"parameter": "tools[1].function.parameters"}


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"response_format": json_schema({"not": {}})}, "response_format.json_schema.schema"),
        (
            {"response_format": {"type": "grammar", "grammar": "start: /a/"}, "tools": [STOP]},
            "response_format.grammar",
        ),
        (
            {
                "response_format": json_schema({}),
                "tools": [IMPOSSIBLE],
            },
            "tools[0].function.parameters",
        ),
    ],
)
def test_what_cannot_be_done_in_a_conversation_is_named(
    model: Model, params: Any, place: str
) -> None:
    with pytest.raises(InvalidParams) as caught:
        chat(model, **params)
    assert caught.value.data == {"parameter": place}


@pytest.fixture(scope="module")
def old() -> Iterator[Model]:
    """A release without logits."""
    model = Model("1.1.4")
    yield model
    model.close()


def test_without_logits_the_answer_is_checked_and_not_promised(old: Model) -> None:
    done = chat(old, response_format={"type": "regex", "regex": "(.|\n)*"}, stream=True)
    assert done["structured"]["guaranteed"] is False
    assert done["structured"]["runs"] == 1
    assert done["message"]["content"]


def test_without_logits_three_attempts_are_made(old: Model) -> None:
    with pytest.raises(RuntimeRefused, match="in 3 attempts") as caught:
        chat(old, response_format=json_schema(SCHEMA))
    assert caught.value.data is not None
    assert caught.value.data["attempts"] == 3
    with pytest.raises(RuntimeRefused, match="in 3 attempts"):
        old.ask(schema=SCHEMA)


def test_without_logits_a_call_that_has_to_come_is_asked_for_three_times(old: Model) -> None:
    with pytest.raises(RuntimeRefused, match="did not call a function .* in 3 attempts"):
        chat(old, tools=[STOP], tool_choice="required")
    assert "structured" not in chat(old, tools=[STOP], max_new_tokens=8)


def test_a_call_that_the_model_begins_is_made_behind_what_the_cache_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundled model writes no marks of calls, so one of its words is taken for one."""
    form = ToolFormat("word", ' number{"name": "', '", "arguments": ', "}", (" number",))
    monkeypatch.setattr("rkllm_twisted.chat.model.INSTRUCTION_FORMAT", form)
    monkeypatch.setattr("rkllm_twisted.chat.tool_calls.marks_in", lambda *texts: texts)
    model = Model("1.3.0")
    how = {"sampling": {"top_k": 1}, "max_new_tokens": 90}
    for stream in (False, True):
        done = chat(model, tools=[WEATHER], stream=stream, **how)
        assert done["message"]["content"].startswith("The")
        calls = done["message"]["tool_calls"]
        for call in calls:
            jsonschema.validate(json.loads(call["function"]["arguments"]), ARGUMENTS)
        assert done["structured"]["guaranteed"] is True
        assert model.rig.turns.watch.known.trail is not None
    model.close()


CLOSED = {**ARGUMENTS, "additionalProperties": False}
LIST = {"type": "array", "items": CLOSED, "minItems": 2, "maxItems": 3}


def test_two_clients_at_once_get_what_each_gets_alone(tmp_path: Path) -> None:
    """Of a daemon; each of them leaves an answer in the middle now and then."""
    daemon = Daemon(tmp_path, library="cpu")
    tasks = {PROMPT: SCHEMA, "A list of errors:": LIST}

    def ask(prompt: str, rounds: int) -> set[str]:
        with Client(daemon.path, timeout=60) as client:
            found = set()
            for _ in range(rounds):
                answer = client.structured_text(prompt, schema=tasks[prompt])
                jsonschema.validate(answer.parsed, tasks[prompt])
                found.add(answer.text)
                params = {"prompt": prompt, "schema": tasks[prompt], "stream": True}
                pieces = client.stream("text.structured", params)
                next(iter(pieces))
                pieces.close()
            return found

    try:
        with Client(daemon.path, timeout=60) as client:
            client.init(str(demo_model()), top_k=1, max_context_len=512)
        alone = [ask(prompt, 1) for prompt in tasks]
        with ThreadPoolExecutor(2) as pool:
            assert [*pool.map(ask, tasks, [3, 3])] == alone
    finally:
        assert daemon.stop() == 0
