"""``twistd rkllm-http`` in a process of its own, with the embedded engine in it."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import MAX_WAIT_S
from documented_answers import fits
from http_program import HTTPProgram
from twisted.application.service import IServiceCollection

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.http_service.service import HTTPService

PAGE = Path(__file__).parents[2] / "docs" / "http.md"
QUESTION = {"messages": [{"role": "user", "content": "What is a generator?"}]}
ANSWER = "A function which returns a generator iterator."


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPProgram]:
    directory = tmp_path_factory.mktemp("http")
    daemon = f"--library cpu --socket {directory}/rkllm.sock --model {demo_model()}"
    options = ["--listen", "tcp:0:interface=127.0.0.1", "--embed"]
    running = HTTPProgram(directory, *options, f"{daemon} --model-param top_k=1")
    yield running
    running.kill()


def test_the_pages_requests_are_answered_as_it_shows(program: HTTPProgram) -> None:
    """The model may still be loading: the first request waits for it."""
    for direction, line in re.findall(r"^([→←]) (.+)$", PAGE.read_text(), re.MULTILINE):
        if direction == "→":
            method, path, request = line.split(" ", 2)
            status, body = program.ask(method, path, json.loads(request))
        else:
            code, documented = line.split(" ", 1)
            assert status == int(code)
            assert fits(json.loads(documented), json.loads(body)), body


def test_the_pages_application_has_the_service(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    (service,) = IServiceCollection(names["application"])
    assert isinstance(service, HTTPService)


def test_a_stream_has_the_same_text(program: HTTPProgram) -> None:
    _, body = program.ask("POST", "/v1/chat/completions", {**QUESTION, "stream": True})
    events = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    assert events.pop() == "[DONE]"
    deltas: list[Any] = [json.loads(event)["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content", "") for delta in deltas) == ANSWER


def test_embeddings_are_of_length_one(program: HTTPProgram) -> None:
    status, body = program.ask("POST", "/v1/embeddings", {"input": ["a list", "a set"]})
    assert status == 200
    for item in json.loads(body)["data"]:
        assert sum(number**2 for number in item["embedding"]) == pytest.approx(1, abs=1e-3)


def test_a_port_in_use_is_one_sentence(program: HTTPProgram, tmp_path: Path) -> None:
    other = HTTPProgram(tmp_path, "--listen", f"tcp:{program.port()}:interface=127.0.0.1")
    assert other.process.wait(MAX_WAIT_S) == 1
    log = other.log.read_text()
    assert "interface=127.0.0.1: Address already in use; name another with --listen." in log
    assert "Traceback" not in log


def test_a_wrong_option_is_one_sentence(tmp_path: Path) -> None:
    other = HTTPProgram(tmp_path, "--listen", "tcp:8080")
    assert other.process.wait(MAX_WAIT_S) == 1
    assert "can be reached from other machines" in other.log.read_text()


def test_it_stops_in_order(program: HTTPProgram) -> None:
    """The last test of the module: the daemon inside stops, too."""
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(MAX_WAIT_S) == 0
    assert not (program.log.parent / "rkllm.sock").exists()
    assert "Traceback" not in program.log.read_text()
