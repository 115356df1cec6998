"""Chats, tools and answers in a form through a front, over real daemons with a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fleet_parts import RealFleet, real_fleet
from http_program import HTTPProgram
from pseudo_terminal import terminal
from rkllm_command import rkllm

from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidParams

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 16},
        "kind": {"enum": ["module", "class", "function"]},
        "pure": {"type": "boolean"},
    },
    "required": ["name", "kind", "pure"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA}}
ARGUMENTS = {
    "type": "object",
    "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["days"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": ARGUMENTS}}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "What is a generator?"}]}
TEXT: dict[str, Any] = {"prompt": "The json module of Python is", "schema": SCHEMA}
CTRL_D = "\x04"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFleet]:
    """Two boards with the model that comes with the package."""
    options = ("--model-param", "top_k=1", "--model-param", "max_context_len=512")
    with real_fleet(tmp_path_factory.mktemp("fleet"), demo_model(), 2, *options) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def client(fleet: RealFleet) -> Iterator[Client]:
    """A client of the front."""
    with Client(fleet.path, timeout=60) as client:
        yield client


def test_a_chat_at_a_terminal_knows_its_first_turn(fleet: RealFleet, tmp_path: Path) -> None:
    """``rkllm chat`` unchanged, whichever board answers."""
    with terminal("chat", "--socket", fleet.path, state=tmp_path) as child:
        child.expect("^>")
        child.send("My name is Anna.\r")
        child.expect(r"Hello Anna\.")
        child.send("What is my name?\r")
        child.expect(r"Your name is Anna\.")
        child.send(CTRL_D)
        assert child.end() == 0


def answered(client: Client, method: str, params: dict[str, Any]) -> Any:
    """The answer, which is the same when it is streamed."""
    whole = client.call(method, params)
    *parts, last = client.stream(method, {**params, "stream": True})
    assert len(parts) > 1
    assert whole["board"] in {"b1", "b2"}
    assert last["finish_reason"] == whole["finish_reason"]
    return whole, parts, last


def test_a_text_in_a_form(client: Client) -> None:
    """The board says that it is guaranteed, and the parts of a stream are the whole."""
    whole, parts, last = answered(client, "text.structured", TEXT)
    for each in (whole, last):
        assert each["guaranteed"] is True
        assert json.loads(each["text"]) == each["parsed"]
        jsonschema.validate(each["parsed"], SCHEMA)
    assert "".join(part["text"] for part in parts) == last["text"]


def test_a_chat_in_a_form(client: Client) -> None:
    """``response_format`` of ``chat.complete``."""
    whole, parts, last = answered(client, "chat.complete", {**CHAT, "response_format": FORM})
    for each in (whole, last):
        assert each["structured"]["guaranteed"] is True
        assert json.loads(each["message"]["content"]) == each["structured"]["parsed"]
        jsonschema.validate(each["structured"]["parsed"], SCHEMA)
    text = "".join(part.get("content") or "" for part in parts)
    assert text == last["message"]["content"]


def test_a_call_that_a_client_demands(client: Client) -> None:
    """``tool_choice`` of ``chat.complete``: the arguments fit the tool's schema."""
    demanded = {**CHAT, "tools": [WEATHER], "tool_choice": "required"}
    whole, parts, last = answered(client, "chat.complete", demanded)
    for each in (whole, last):
        [call] = each["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"
        jsonschema.validate(json.loads(call["function"]["arguments"]), ARGUMENTS)
        assert each["structured"]["guaranteed"] is True
    assert parts[0]["tool_call"]["name"] == "weather"


def test_a_form_that_a_board_refuses_is_the_boards_error(client: Client) -> None:
    """It names the parameter, as a daemon does."""
    with pytest.raises(InvalidParams, match="Invalid type: poem") as caught:
        client.call("text.structured", {**TEXT, "schema": {"type": "poem"}})
    assert (caught.value.data or {})["parameter"] == "schema"


def test_the_command_prints_a_form(fleet: RealFleet, tmp_path: Path) -> None:
    """``rkllm run --schema``."""
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    done = rkllm("run", "--socket", fleet.path, "--schema", str(schema), "What is a list?")
    jsonschema.validate(json.loads(done.stdout), SCHEMA)


def test_twistd_rkllm_http_answers_in_a_form(fleet: RealFleet, tmp_path: Path) -> None:
    """Whole and streamed, from a process of its own in front of the fleet."""
    options = ("--listen", "tcp:0:interface=127.0.0.1", "--daemon", fleet.path)
    program = HTTPProgram(tmp_path, *options)
    try:
        asked = {**CHAT, "response_format": FORM}
        status, body = program.ask("POST", "/v1/chat/completions", asked)
        assert status == 200, body
        content = json.loads(body)["choices"][0]["message"]["content"]
        jsonschema.validate(json.loads(content), SCHEMA)
        _, body = program.ask("POST", "/v1/chat/completions", {**asked, "stream": True})
        lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
        assert lines.pop() == "[DONE]"
        deltas = [json.loads(line)["choices"][0]["delta"] for line in lines]
        streamed = "".join(delta.get("content") or "" for delta in deltas)
        jsonschema.validate(json.loads(streamed), SCHEMA)
    finally:
        program.kill()
