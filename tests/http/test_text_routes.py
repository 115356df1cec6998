"""Completions, tokens and templates, over a fake daemon: its models have words as tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from http_rig import HTTPRig, rig_with


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[HTTPRig]:
    rig = rig_with("tokens", tmp_path)
    yield rig
    rig.close()


def test_a_completion_continues_each_prompt(rig: HTTPRig) -> None:
    body = {"model": "m", "prompt": ["one", [0, 1]], "n": 2}
    answer = rig.post("/v1/completions", body).json
    assert answer["object"] == "text_completion"
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert {choice["text"] for choice in answer["choices"]} == {"Hi!"}


def test_an_echo_begins_with_the_prompt(rig: HTTPRig) -> None:
    body = {"model": "m", "prompt": "one", "echo": True}
    assert rig.post("/v1/completions", body).json["choices"][0]["text"] == "oneHi!"
    chunks = rig.post("/v1/completions", {**body, "stream": True}).chunks
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "oneHi!"


def test_a_streamed_completion_has_the_same_object(rig: HTTPRig) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, usage = rig.post("/v1/completions", {"model": "m", "prompt": "one", **options}).chunks
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["H", "i", "!", ""]
    assert usage["usage"]["completion_tokens"] == 3


def test_a_text_becomes_tokens_and_the_same_text_again(rig: HTTPRig) -> None:
    tokens = rig.post("/tokenize", {"model": "m", "content": "one two"}).json["tokens"]
    assert len(tokens) == 2
    text = rig.post("/detokenize", {"model": "m", "tokens": tokens}).json["content"]
    assert text == "one two"


def test_a_template_is_shown_as_the_model_reads_it(rig: HTTPRig) -> None:
    messages = [{"role": "user", "content": "one"}]
    prompt = rig.post("/apply-template", {"model": "m", "messages": messages}).json["prompt"]
    assert "<|im_start|>user\none<|im_end|>" in prompt


def test_a_model_without_a_tokenizer_is_said_to_have_none(tmp_path: Path) -> None:
    rig = rig_with("template", tmp_path)
    response = rig.post("/v1/completions", {"model": "m", "prompt": "one"})
    assert response.status == 400
    assert "tokenizer.json" in response.json["error"]["message"]
    rig.close()
