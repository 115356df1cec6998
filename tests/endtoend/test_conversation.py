"""The daemon as seen from outside: raw bytes on the socket, without the package's clients."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, RawClient

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.server.state import RESERVED_CONNECTIONS

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

RESULT_KEYS = {
    "text": None,
    "token_id": None,
    "last_hidden_layer": ["hidden_states", "embd_size", "num_tokens"],
    "logits": ["logits", "vocab_size", "num_tokens"],
    "perf": [
        "prefill_time_ms",
        "prefill_tokens",
        "generate_time_ms",
        "generate_tokens",
        "memory_usage_mb",
    ],
    "_callback_state": None,
}
HELLO = """
run
token "Hello"
token ", "
token "world"
finish
"""
ENDLESS = """
run
delay 1
repeat 1000000 token "x"
finish
"""


def run_params(prompt: str) -> list[object]:
    """Make the parameters of rkllm.run and rkllm.run_async, in C's order."""
    return [
        None,
        {"role": "user", "enable_thinking": False, "input_type": 0, "prompt_input": prompt},
        {"mode": 0, "lora_params": None, "prompt_cache_params": None, "keep_history": 0},
        None,
    ]


@pytest.fixture(params=["1.2.1", "1.3.0"])
def daemon(request: pytest.FixtureRequest, start: Start) -> Daemon:
    """Start a daemon with the embedded runtime, on each layout."""
    return start(f"--abi={request.param}")


def test_a_run_streams_results_with_exactly_the_fields_of_the_structure(
    daemon: Daemon, script: Script
) -> None:
    """Every callback is a response with the request's id; the last one has state 2."""
    daemon.load(script(HELLO))
    with daemon.connect() as client:
        answers = client.stream("rkllm.run_async", run_params("What is a module?"), 7)
    assert all(set(answer) == {"jsonrpc", "id", "result"} for answer in answers)
    assert {answer["id"] for answer in answers} == {7}
    for answer in answers:
        assert list(answer["result"]) == list(RESULT_KEYS)
        for member, fields in RESULT_KEYS.items():
            if fields is not None:
                assert list(answer["result"][member]) == fields
    texts = [answer["result"]["text"] for answer in answers[:-1]]
    assert texts == ["Hello", ", ", "world"]
    states = [answer["result"]["_callback_state"] for answer in answers]
    assert states == [0, 0, 0, 2]
    assert answers[-1]["result"]["perf"]["generate_tokens"] == 3


def test_run_answers_once_with_the_same_text_joined(daemon: Daemon, script: Script) -> None:
    """One response has all the text."""
    daemon.load(script(HELLO))
    with daemon.connect() as client:
        answer = client.ask("rkllm.run", run_params("hi"), "once")
        assert client.ask("server.ping", None, 2)["id"] == 2, "nothing came in between"
    assert answer["id"] == "once"
    assert answer["result"]["text"] == "Hello, world"
    assert list(answer["result"]) == list(RESULT_KEYS)


@pytest.mark.parametrize(
    "form", [lambda p: [p], lambda p: [None, p], lambda p: [None, p, None], lambda p: {"param": p}]
)
def test_init_takes_every_form_of_its_parameters(
    start: Start, script: Script, form: Callable[[object], object]
) -> None:
    """The slots that the server fills are null or left out."""
    daemon, model = start(), script(HELLO)
    with daemon.connect() as client:
        answer = client.ask("rkllm.init", form({"model_path": str(model)}))
        assert answer["result"] == {"success": True, "status_code": 0}
        status = client.ask("server.status")["result"]
    assert status["state"] == "loaded"
    assert status["model_path"] == str(model)


@pytest.mark.parametrize(
    ("param", "codes", "word"),
    [
        ({"model_path": "/nowhere/model.gguf"}, {-32602, -32000}, "/nowhere/model.gguf"),
        ({"model_path": "/tmp"}, {-32602, -32000}, "/tmp"),
        ({"model_path": None}, {-32602}, "model_path"),
        ({}, {-32602}, "model_path"),
        ({"model_path": "x", "colour": 1}, {-32602}, "colour"),
        ({"model_path": "x", "top_p": "high"}, {-32602}, "top_p"),
        ({"model_path": "x", "max_context_len": "long"}, {-32602}, "max_context_len"),
        ({"model_path": "x", "max_context_len": 2**31}, {-32602}, "max_context_len"),
        ({"model_path": 5}, {-32602}, "model_path"),
        ({"model_path": "a\0b"}, {-32602}, "model_path"),
    ],
)
def test_a_wrong_init_names_what_is_wrong_and_harms_nothing(
    start: Start, script: Script, param: dict[str, object], codes: set[int], word: str
) -> None:
    """The earlier model stays loaded."""
    daemon = start()
    daemon.load(script(HELLO))
    with daemon.connect() as client:
        error = client.ask("rkllm.init", [param])["error"]
        assert error["code"] in codes
        assert word in error["message"] + json.dumps(error.get("data"))
        assert client.ask("rkllm.run", run_params("hi"))["result"]["text"] == "Hello, world"


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_embeddings_of_another_width_are_refused(start: Start, isolation: str) -> None:
    """The width is not the model's; the error states both."""
    daemon = start(f"--isolation={isolation}")
    daemon.load(demo_model())
    value = {"embed": [0.5] * 128, "n_tokens": 2}
    with daemon.connect() as client:
        params = [{"input_type": "RKLLM_INPUT_EMBED", "embed_input": value}]
        error = client.ask("rkllm.run", params)["error"]
        assert error["code"] == -32602
        width, due = re.findall(r"(\d+) wide: n_tokens \* \d+ = (\d+)", error["message"])[0]
        assert "has 128 elements" in error["message"]
        assert int(due) == 2 * int(width)
        value["embed"] = [0.5] * int(due)
        assert client.ask("rkllm.run", params)["result"]["_callback_state"] == 2


def test_without_a_model_the_error_says_what_to_do(start: Start) -> None:
    """The error is -32001 and names rkllm.init."""
    with start().connect() as client:
        for method in ("rkllm.run", "rkllm.run_async"):
            error = client.ask(method, run_params("hi"))["error"]
            assert error["code"] == -32001
            assert "rkllm.init" in error["message"]


def test_init_destroys_the_model_before(daemon: Daemon, script: Script) -> None:
    """Only one model is loaded; the second replaces the first."""
    daemon.load(script(HELLO))
    daemon.load(script('run\ntoken "second"\nfinish\n'))
    with daemon.connect() as client:
        assert client.ask("rkllm.run", run_params("hi"))["result"]["text"] == "second"
        client.ask("rkllm.destroy")
        assert client.ask("server.status")["result"]["state"] == "empty"


def test_while_one_streams_another_is_answered_and_may_abort(
    daemon: Daemon, script: Script
) -> None:
    """A ping takes under 10 ms, and an abort ends the run within one token."""
    daemon.load(script(ENDLESS))
    with daemon.connect() as busy, daemon.connect() as other:
        answer = busy.ask("rkllm.run_async", run_params("go on"))
        assert answer["result"]["text"] == "x"
        assert other.ask("rkllm.is_running")["result"]["is_running"] is True
        assert fastest_ping(other) < 0.010
        assert other.ask("rkllm.abort")["result"]["success"] is True
        while (answer := busy.line())["result"]["_callback_state"] == 0:
            pass
        assert answer["result"]["_callback_state"] == 2
        assert other.ask("rkllm.is_running")["result"]["is_running"] is False


def fastest_ping(client: RawClient) -> float:
    """Return the seconds of the fastest of several pings; others may wait for the processor."""
    times = []
    for _ in range(10):
        begun = time.perf_counter()
        assert client.ask("server.ping")["result"] == "pong"
        times.append(time.perf_counter() - begun)
    return min(times)


def test_leaving_mid_stream_frees_the_npu(daemon: Daemon, script: Script) -> None:
    """The daemon aborts the run of a disconnected client, and the next run starts."""
    daemon.load(script('run\ntoken "x"\nhang until abort\nfinish\nrun\ntoken "next"\nfinish\n'))
    with daemon.connect() as leaving:
        leaving.ask("rkllm.run_async", run_params("go on"))
    with daemon.connect() as client:
        assert client.ask("rkllm.run", run_params("hi"))["result"]["text"] == "next"


def test_netstrings_are_answered_in_netstrings(daemon: Daemon, script: Script) -> None:
    """The first byte of the connection decides."""
    daemon.load(script(HELLO))
    message = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "rkllm.run_async", "params": run_params("hi")}
    ).encode()
    with daemon.connect() as client:
        client.socket.sendall(b"%d:%b," % (len(message), message))
        texts = []
        while (result := client.netstring()["result"])["_callback_state"] == 0:
            texts.append(result["text"])
    assert "".join(texts) == "Hello, world"


def test_a_split_character_arrives_whole(daemon: Daemon, script: Script) -> None:
    """Two tokens hold one character: state 1 comes first, then the character."""
    daemon.load(script('run\ntoken "\\xe4\\xbd"\ntoken "\\xa0"\nfinish\n'))
    with daemon.connect() as client:
        results = [a["result"] for a in client.stream("rkllm.run_async", run_params("hi"))]
    assert 1 in [result["_callback_state"] for result in results]
    assert "".join(r["text"] or "" for r in results if r["_callback_state"] == 0) == "你"


def test_defaults_are_the_runtimes_own(daemon: Daemon) -> None:
    """createDefaultParam returns the structure itself, with short floats."""
    with daemon.connect() as client:
        param = client.ask("rkllm.createDefaultParam")["result"]
    assert param["model_path"] is None
    assert param["top_p"] == 0.9
    assert param["temperature"] == 0.8
    assert param["extend_param"]["n_batch"] == 1


def test_constants_are_the_releases_enums(daemon: Daemon) -> None:
    """The names are those of rkllm.h."""
    with daemon.connect() as client:
        constants = client.ask("rkllm.get_constants")["result"]
    assert constants["LLMCallState"]["RKLLM_RUN_FINISH"] == 2
    assert constants["RKLLMInputType"]["RKLLM_INPUT_MULTIMODAL"] == 3


def test_the_version_says_that_it_is_the_embedded_runtime(daemon: Daemon) -> None:
    """The version and the status name the same backend, with "cpu" in it."""
    with daemon.connect() as client:
        runtime = client.ask("server.version")["result"]["runtime"]
        assert client.ask("server.status")["result"]["backend"] == runtime["backend"]
    assert "cpu" in runtime["backend"]
    assert runtime["abi"] in runtime["library"]


def test_one_clients_prompts_take_turns_with_anothers(daemon: Daemon, script: Script) -> None:
    """All queued runs are answered; the other client waits for at most one more run."""
    daemon.load(script("run\ndelay 2\necho\nfinish\n"))
    with daemon.connect() as greedy, daemon.connect() as modest:
        for number in range(6):
            greedy.send(
                {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "rkllm.run",
                    "params": run_params(f"greedy {number} says a few words"),
                }
            )
        answer = modest.ask("rkllm.run", run_params("modest"))
        status = modest.ask("server.status")["result"]
        assert answer["result"]["text"].strip() == "modest"
        assert status["queue_length"] >= 3
        assert [greedy.line()["id"] for _ in range(6)] == list(range(6))


def test_more_clients_than_allowed_get_one_clear_error(start: Start) -> None:
    """The extra connection gets an error and is closed; the others continue."""
    daemon = start("--max-clients=2")
    with daemon.connect() as first:
        while first.ask("server.status")["result"]["clients"] > 1:
            pass  # the fixture's own probe may still be connected
        with contextlib.ExitStack() as others:
            for _ in range(1 + (RESERVED_CONNECTIONS if os.geteuid() == 0 else 0)):
                other = others.enter_context(daemon.connect())
                assert other.ask("server.ping")["result"] == "pong"
            with daemon.connect() as last:
                last.socket.sendall(b"{")
                assert b"-32002" in last.eof()
            assert first.ask("server.ping")["result"] == "pong"
