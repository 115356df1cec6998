"""Answers in a form, by the APIs of OpenAI and Anthropic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from http_rig import HTTPRig

from rkllm_twisted.http.translation.results import own_members

HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORM = {"type": "json_schema", "json_schema": {"name": "one", "schema": SCHEMA}}
TEXT = {"format": {"type": "json_schema", "name": "one", "schema": SCHEMA}}
CONFIG = {"format": {"type": "json_schema", "schema": SCHEMA}}


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig()
    rig.daemon.answers[re.compile("JSON")] = '```json\n{"a": 1}\n```'
    yield rig
    rig.close()


def of_chat(body: Any) -> str:
    return str(body["choices"][0]["message"]["content"])


def of_responses(body: Any) -> str:
    return str(body["output"][0]["content"][0]["text"])


def of_messages(body: Any) -> str:
    return str(body["content"][0]["text"])


WAYS = {
    "/v1/chat/completions": ({"messages": HELLO, "response_format": FORM}, of_chat),
    "/v1/responses": ({"input": "Hello", "text": TEXT}, of_responses),
    "/v1/messages": ({"messages": HELLO, "max_tokens": 99, "output_config": CONFIG}, of_messages),
}


@pytest.mark.parametrize("path", WAYS)
def test_the_answer_has_the_form(rig: HTTPRig, path: str) -> None:
    body, text_of = WAYS[path]
    response = rig.post(path, {"model": "mine", **body})
    assert response.status == 200, response.body
    assert json.loads(text_of(response.json)) == {"a": 1}


def test_a_stream_has_it_as_well(rig: HTTPRig) -> None:
    body = {"model": "mine", "messages": HELLO, "response_format": FORM, "stream": True}
    chunks = rig.post("/v1/chat/completions", body).chunks
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert json.loads(text) == {"a": 1}


def test_a_schema_that_cannot_be_kept_to_is_named(rig: HTTPRig) -> None:
    bad = {"type": "json_schema", "json_schema": {"name": "one", "schema": {"not": {}}}}
    body = {"model": "mine", "messages": HELLO, "response_format": bad}
    response = rig.post("/v1/chat/completions", body)
    assert response.status == 400
    error = response.json["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert 'Unimplemented keys: ["not"]' in error["message"]


def test_a_model_that_does_not_keep_to_it_is_an_error(rig: HTTPRig) -> None:
    rig.daemon.answers.clear()
    response = rig.post(
        "/v1/chat/completions", {"model": "mine", "messages": HELLO, "response_format": FORM}
    )
    assert response.status == 500
    assert "in 3 attempts" in response.json["error"]["message"]


EVERY_WAY = {
    **{path: body for path, (body, _) in WAYS.items()},
    "/api/chat": {"messages": HELLO, "format": SCHEMA},
}


def last_of(response: Any) -> Any:
    """Return the last object of a stream that says how the answer was made."""
    if response.headers["content-type"].startswith("application/x-ndjson"):
        return json.loads(response.body.splitlines()[-1])
    objects = [json.loads(one) for one in response.events if one != "[DONE]"]
    found = [one for one in objects if "rkllm" in {**one, **one.get("response", {})}]
    return found[-1].get("response", found[-1])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", EVERY_WAY)
def test_each_api_says_whether_the_form_was_guaranteed(
    rig: HTTPRig, path: str, stream: bool
) -> None:
    response = rig.post(path, {"model": "mine", **EVERY_WAY[path], "stream": stream})
    answer = last_of(response) if stream else response.json
    figures = answer["rkllm"]["structured"]
    assert figures["guaranteed"] is False
    assert figures["runs"] == 1
    assert "parsed" not in figures


def test_of_several_answers_all_must_be_guaranteed() -> None:
    def result(guaranteed: bool) -> Any:
        return {"tier": "tokens", "structured": {"parsed": 1, "guaranteed": guaranteed}}

    for first, second in ((True, False), (False, True), (True, True)):
        own = own_members(result(first), result(second))
        assert own == {"tier": "tokens", "structured": {"guaranteed": first and second}}
    assert own_members({"tier": "tokens"}) == {"tier": "tokens"}


BAD = {"not": {}}
BAD_BODIES = {
    "/v1/chat/completions": (
        {
            "messages": HELLO,
            "response_format": {"type": "json_schema", "json_schema": {"schema": BAD}},
        },
        "response_format.json_schema.schema",
    ),
    "/v1/responses": (
        {"input": "Hello", "text": {"format": {"type": "json_schema", "schema": BAD}}},
        "text.format.schema",
    ),
    "/v1/messages": (
        {
            "messages": HELLO,
            "max_tokens": 99,
            "output_config": {"format": {"type": "json_schema", "schema": BAD}},
        },
        "output_config.format.schema",
    ),
    "/api/chat": ({"messages": HELLO, "format": BAD, "stream": False}, "format"),
}


@pytest.mark.parametrize("path", BAD_BODIES)
def test_a_wrong_schema_is_named_as_the_api_names_it(rig: HTTPRig, path: str) -> None:
    body, place = BAD_BODIES[path]
    response = rig.post(path, {"model": "mine", **body})
    assert response.status == 400
    error = response.json["error"]
    assert (error if isinstance(error, str) else error["message"]).startswith(f"{place}: ")
    assert place == "format" or error.get("param", place) == place


@pytest.mark.parametrize("path", WAYS)
def test_a_limit_that_is_larger_than_any_answer_is_no_error(rig: HTTPRig, path: str) -> None:
    """Programs send the most that a large model can do."""
    limit = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    assert rig.post(path, {"model": "mine", **WAYS[path][0], limit: 64000}).status == 200
