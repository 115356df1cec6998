"""Answers in a form by a real model through llama.cpp: skipped where it is not installed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from daemons import Daemon

from rkllm_twisted.blocking import Client
from rkllm_twisted.cpu import libllama
from rkllm_twisted.cpu.packages import MODELS, cache_folder

SMOLLM2 = cache_folder() / Path(MODELS["smollm2"].member).name

pytestmark = pytest.mark.skipif(
    not (libllama.find(os.environ) is not None and SMOLLM2.is_file()),
    reason="no libllama or no SmolLM2 is installed: `make real-models` fetches them",
)

ORDER = {
    "type": "object",
    "properties": {
        "item": {"type": "string", "maxLength": 24},
        "count": {"type": "integer", "minimum": 1, "maximum": 99},
        "express": {"type": "boolean"},
    },
    "required": ["item", "count", "express"],
    "additionalProperties": False,
}
MAIL = "Dear shop, please send me three red teapots, there is no hurry. Ada"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), library="llama")
    with Client(daemon.path, timeout=120) as client:
        client.init(str(SMOLLM2), top_k=1, max_context_len=1024)
        yield client
    daemon.stop()


def test_an_order_is_read_from_a_mail(client: Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "order", "schema": ORDER}}
    answer = client.chat(f"What is ordered in this mail?\n{MAIL}", response_format=form)
    order = json.loads(answer.text)
    jsonschema.validate(order, ORDER)
    assert answer.tier == "tokens"
    figures: Any = answer.raw["structured"]
    assert figures["guaranteed"] is True
    assert figures["forced"] > 0


def test_a_tool_is_called(client: Client) -> None:
    tool = {"type": "function", "function": {"name": "order", "parameters": ORDER}}
    answer = client.chat(MAIL, tools=[tool], tool_choice="required")
    (call,) = answer.tool_calls
    jsonschema.validate(json.loads(call["function"]["arguments"]), ORDER)


def test_other_forms_are_kept_to(client: Client) -> None:
    choices = ["Paris", "Rome", "Madrid"]
    assert client.structured_text("The capital of Italy is", choices=choices).text in choices
    found = client.structured_text("Call me at", regex="[0-9]{3}-[0-9]{4}").text
    assert re.fullmatch("[0-9]{3}-[0-9]{4}", found)
    drawn = client.structured_text(MAIL, schema=ORDER, sampling={"top_k": 40, "seed": 3})
    jsonschema.validate(drawn.parsed, ORDER)


def test_a_client_that_leaves_the_answer_frees_the_model(client: Client) -> None:
    params = {"prompt": MAIL, "schema": {"type": "string", "minLength": 300}, "stream": True}
    pieces = client.stream("text.structured", params)
    next(iter(pieces))
    pieces.close()
    assert client.structured_text("Yes or no?", choices=["yes", "no"]).text in ("yes", "no")
