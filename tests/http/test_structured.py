"""Answers in a form, by the APIs of OpenAI and Anthropic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from http_rig import HTTPRig

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
