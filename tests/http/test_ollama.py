"""Ollama's paths over a fake daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_rig import HTTPRig, Response

from rkllm_twisted.errors import Busy
from rkllm_twisted.testing import Answer, Crash

HELLO = [{"role": "user", "content": "Hello"}]
#: No text, so that it may be a model.
WEIGHTS = bytes(range(256))


def lines(response: Response) -> list[Any]:
    """The lines of a stream."""
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.body.decode().splitlines()]


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig(answers={"Hello": "Hi there"})
    yield rig
    rig.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[HTTPRig]:
    """A daemon with two models by name, neither of them loaded."""
    for name in ("small", "user-model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.rkllm").write_bytes(WEIGHTS)
    settings = 'capabilities = ["completion", "tools"]\naliases = ["user/other:4b"]\n'
    (tmp_path / "user-model" / "rkllm.toml").write_text(settings)
    rig = HTTPRig(model=None, options=["--model-dir", str(tmp_path)], answers={"Hello": "Hi there"})
    yield rig
    rig.close()


def loaded(rig: HTTPRig) -> list[str]:
    """The names of the loaded models."""
    return [model["name"] for model in rig.ask("GET", "/api/ps").json["models"]]


def test_a_chat_is_streamed_in_lines_by_default(rig: HTTPRig) -> None:
    *pieces, last = lines(rig.post("/api/chat", {"model": "mine:latest", "messages": HELLO}))
    assert [piece["message"]["content"] for piece in pieces] == ["Hi", " there"]
    assert all(piece["done"] is False and piece["model"] == "mine:latest" for piece in pieces)
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 2)
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["created_at"].endswith("Z")


def test_a_chat_without_stream_is_one_object(rig: HTTPRig) -> None:
    response = rig.post("/api/chat", {"model": "mine", "messages": HELLO, "stream": False})
    assert response.headers["content-type"] == "application/json"
    assert response.json["message"]["content"] == "Hi there"
    assert response.json["eval_duration"] > 0


def test_a_prompt_is_answered_and_has_a_response(rig: HTTPRig) -> None:
    *pieces, last = lines(rig.post("/api/generate", {"model": "mine", "prompt": "Hello"}))
    assert [piece["response"] for piece in pieces] == ["Hi", " there"]
    assert (last["response"], last["done"]) == ("", True)


def test_the_options_reach_the_daemon(rig: HTTPRig) -> None:
    options = {"temperature": 0.5, "num_predict": 3, "num_ctx": 1 << 20, "seed": 7}
    body = {"model": "mine", "messages": HELLO, "options": options, "stream": False}
    response = rig.post("/api/chat", body)
    assert response.headers["x-rkllm-ignored"] == "options.seed, options.num_ctx, truncate"
    *_, call = [call for call in rig.daemon.calls if call.method == "chat.complete"]
    assert isinstance(call.params, dict)
    assert call.params["sampling"] == {"temperature": 0.5}
    assert call.params["max_new_tokens"] == 3


def test_shortening_is_left_out_for_a_model_whose_tokens_cannot_be_counted(rig: HTTPRig) -> None:
    body = {"model": "mine", "messages": HELLO, "stream": False}
    assert rig.post("/api/chat", body).headers["x-rkllm-ignored"] == "truncate"
    calls = [call.params for call in rig.daemon.calls if call.method == "chat.complete"]
    assert ["truncate" in (params or {}) for params in calls] == [True, False]


def test_an_unknown_model_is_not_found_in_ollamas_words(rig: HTTPRig) -> None:
    for path in ("/api/chat", "/api/generate", "/api/show", "/api/embed"):
        response = rig.post(path, {"model": "other", "messages": HELLO})
        assert (response.status, list(response.json)) == (404, ["error"])
        assert response.json["error"].startswith("model 'other' not found")


def test_no_body_is_a_bad_request(rig: HTTPRig) -> None:
    assert rig.post("/api/chat", None).status == 400


@pytest.mark.parametrize(("reply", "status"), [(Busy("It is busy.", {}), 503), (Crash(), 500)])
def test_an_error_before_the_first_line_has_its_status(reply: object, status: int) -> None:
    rig = HTTPRig(answers={"Hello": reply})
    response = rig.post("/api/chat", {"model": "mine", "messages": HELLO})
    assert (response.status, list(response.json)) == (status, ["error"])
    rig.close()


def test_an_error_amid_a_stream_is_its_last_line() -> None:
    rig = HTTPRig(answers={"Hello": Answer("Hi you", then=Crash())})
    *_, last = lines(rig.post("/api/chat", {"model": "mine", "messages": HELLO}))
    assert list(last) == ["error"]
    rig.close()


def test_a_client_that_leaves_ends_its_run() -> None:
    rig = HTTPRig(answers={"Hello": Answer("word", endless=True)})
    visitor = rig.start("POST", "/api/generate", {"model": "mine", "prompt": "Hello"})
    for _ in range(4):
        rig.advance(0.001)
    assert rig.runs
    visitor.transport.abortConnection()
    rig.advance(0.05)
    assert not rig.runs
    rig.close()


def test_images_are_refused_with_a_sentence(rig: HTTPRig) -> None:
    message = {"role": "user", "content": "What is this?", "images": ["aGk="]}
    response = rig.post("/api/chat", {"model": "mine", "messages": [message]})
    assert response.status == 400
    place = "messages[0].content[0].type"
    assert response.json["error"] == f"{place}: this model does not read images."


def test_tools_are_refused_for_a_model_without_and_called_by_one_with(shelf: HTTPRig) -> None:
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    body = {
        "messages": HELLO,
        "tools": [{"type": "function", "function": function}],
        "stream": False,
    }
    response = shelf.post("/api/chat", {"model": "small", **body})
    assert (response.status, response.json["error"]) == (400, '"small" does not support tools')
    call = '```json\n{"name": "look", "arguments": {"at": "you"}}\n```'
    shelf.daemon.answers[re.compile("Hello")] = call
    del shelf.daemon.answers["Hello"]
    for stream in (False, True):
        response = shelf.post("/api/chat", {"model": "user-model", **body, "stream": stream})
        found = lines(response) if stream else [response.json]
        (calls,) = [line["message"]["tool_calls"] for line in found if "tool_calls" in str(line)]
        assert calls[0]["function"]["arguments"] == {"at": "you"}


def test_what_home_assistant_sends_is_answered(shelf: HTTPRig) -> None:
    """Its results of tools name no call, and its fields have its defaults."""
    function = {"name": "look", "parameters": {"type": "object", "properties": {}}}
    further = {"keep_alive": -1, "options": {"num_ctx": 8192}, "think": False, "format": None}
    asked = [{"role": "system", "content": "Be brief."}, *HELLO]
    call = {"function": {"name": "look", "arguments": {}}}
    called = {"role": "assistant", "content": None, "thinking": None, "tool_calls": [call]}
    result = {"role": "tool", "content": '{"data": "sunny", "error": null}'}
    tools = [{"type": "function", "function": function}]
    body = {"model": "user-model:latest", "tools": tools, "stream": True, **further}
    shelf.daemon.answers[re.compile("sunny")] = "It is sunny."
    response = shelf.post("/api/chat", {**body, "messages": [*asked, called, result]})
    assert response.status == 200, response.body
    text = "".join(line["message"]["content"] for line in lines(response))
    assert text == "It is sunny."


@pytest.mark.parametrize("form", ["json", {"type": "object"}])
def test_an_answer_has_the_form_that_was_asked_for(rig: HTTPRig, form: object) -> None:
    rig.daemon.answers[re.compile("JSON")] = '{"a": 1}'
    response = rig.post("/api/chat", {"model": "mine", "messages": HELLO, "format": form})
    assert response.status == 200
    assert json.loads(lines(response)[0]["message"]["content"]) == {"a": 1}


def test_a_form_is_refused_by_the_name_that_ollama_has_for_it(rig: HTTPRig) -> None:
    body = {"model": "mine", "messages": HELLO, "format": {"not": {}}}
    response = rig.post("/api/chat", body)
    assert response.status == 400
    assert response.json["error"].startswith("format: cannot be kept to: ")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed"])
def test_a_request_without_content_loads_the_model(shelf: HTTPRig, path: str) -> None:
    response = shelf.post(path, {"model": "small:latest"})
    assert response.status == 200
    assert response.json.get("done_reason", "load") == "load"
    assert loaded(shelf) == ["small:latest"]


def test_a_request_without_content_and_with_no_time_unloads_the_model(shelf: HTTPRig) -> None:
    shelf.post("/api/generate", {"model": "small"})
    for _ in range(2):  # the second time there is nothing to unload
        response = shelf.post("/api/generate", {"model": "small", "keep_alive": 0})
        assert (response.status, response.json["done_reason"]) == (200, "unload")
        assert loaded(shelf) == []


def test_a_chat_that_keeps_nothing_alive_unloads_its_model_afterwards(shelf: HTTPRig) -> None:
    body = {"model": "small", "messages": HELLO, "keep_alive": "0s"}
    assert lines(shelf.post("/api/chat", body))[-1]["done"]
    assert loaded(shelf) == []


def test_the_tags_are_the_models_with_their_tags(shelf: HTTPRig) -> None:
    models = shelf.ask("GET", "/api/tags").json["models"]
    assert [model["name"] for model in models] == ["small:latest", "user-model:latest"]
    assert models[0]["model"] == "small:latest"
    assert models[0]["size"] == len(WEIGHTS)
    assert models[1]["capabilities"] == ["completion", "tools"]
    assert shelf.start("HEAD", "/api/tags").data.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("field", ["model", "name"])
@pytest.mark.parametrize("name", ["user-model", "user-model:latest", "USER-MODEL", "user/other:4b"])
def test_a_model_is_shown_by_any_of_its_names(shelf: HTTPRig, field: str, name: str) -> None:
    shown = shelf.post("/api/show", {field: name}).json
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["details"]["format"]
    assert "general.architecture" in shown["model_info"]


def test_a_model_without_a_name_is_shown_too(rig: HTTPRig) -> None:
    shown = rig.post("/api/show", {"model": "mine"}).json
    assert shown["capabilities"] == ["completion"]


def test_the_name_with_its_tag_is_known_to_openais_paths(rig: HTTPRig) -> None:
    assert rig.ask("GET", "/v1/models/mine:latest").json["id"] == "mine"


def test_the_version_is_three_numbers(rig: HTTPRig) -> None:
    version = rig.ask("GET", "/api/version").json["version"]
    assert tuple(int(part) for part in version.split(".")) >= (0, 6, 4)


@pytest.mark.parametrize("stream", [True, False])
def test_pulling_what_is_there_succeeds(rig: HTTPRig, stream: bool) -> None:
    response = rig.post("/api/pull", {"model": "mine", "stream": stream})
    assert (lines(response)[-1] if stream else response.json) == {"status": "success"}


def test_pulling_anything_else_is_refused_with_what_to_do(rig: HTTPRig) -> None:
    response = rig.post("/api/pull", {"model": "other"})
    assert response.status == 501
    assert "--model-dir" in response.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/api/delete", 501),
        ("POST", "/api/copy", 501),
        ("POST", "/api/create", 501),
        ("POST", "/api/push", 501),
        ("POST", "/api/blobs/sha256:00", 501),
        ("POST", "/api/me", 401),
        ("POST", "/api/signout", 501),
    ],
)
def test_the_rest_is_refused_with_a_sentence(
    rig: HTTPRig, method: str, path: str, status: int
) -> None:
    response = rig.ask(method, path, {"model": "mine"})
    assert (response.status, list(response.json)) == (status, ["error"])
    assert path in response.json["error"]


def test_the_heartbeat_of_ollamas_command_is_answered(rig: HTTPRig) -> None:
    assert rig.ask("GET", "/").body == b"Ollama is running"
    visitor = rig.start("HEAD", "/")
    assert visitor.data.startswith(b"HTTP/1.1 200")
