"""Third-party JSON-RPC libraries, in two languages, against a real daemon.

Each runs in a small client program that joins it to the socket; the test tells the program what to
call, and sees what the library hands to its user.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_driver import Driven, command
from daemons import Daemon

#: Library -> its client program, and the exception that a wrong parameter becomes there.
LIBRARIES = {
    "vscode-jsonrpc": ("vscode_jsonrpc.js", "ResponseError"),
    "json-rpc-2.0": ("json_rpc_2.js", "JSONRPCErrorException"),
    "pygls": ("pygls_client.py", "JsonRpcInvalidParams"),
    "python-lsp-jsonrpc": ("pylsp_jsonrpc_client.py", "JsonRpcInvalidParams"),
}
#: A run whose prompt has "wait" in it stops after a token until the file ``go`` is there.
SCRIPT = """#!rkllm-script 1
run
token "Hello"
token ", "
token "\\xe4\\xbd"
token "\\xa0"
token "world"
finish
run when "gate"
token "before"
wait "{go}"
token "after"
finish
run when "endless"
delay 1
repeat 1000000 token "x"
finish
run when "echo"
delay 1
echo
finish
"""


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    """Each of the libraries."""
    return str(request.param)


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file that a gated run waits for."""
    return tmp_path / "go"


@pytest.fixture(params=["lines", "netstrings"])
def client(
    request: pytest.FixtureRequest, library: str, daemon: Daemon, tmp_path: Path, go: Path
) -> Iterator[Driven]:
    """The library, connected in each framing, with a loaded model and streams as notifications."""
    program, _ = LIBRARIES[library]
    is_node = program.endswith(".js")
    modules = request.getfixturevalue("node_modules") if is_node else None
    arguments, env = command(modules, program)
    model = tmp_path / "model.script"
    model.write_text(SCRIPT.format(go=go))
    with Driven([*arguments, str(daemon.path), request.param], env, tmp_path) as driven:
        chosen = driven.ask("server.configure", {"stream": "notifications"})
        assert chosen["stream"] == "notifications"
        done = driven.ask("rkllm.init", {"param": {"model_path": str(model)}})
        assert done == {"success": True, "status_code": 0}
        yield driven


def run_params(prompt: str) -> list[Any]:
    """The parameters of a run, in C's order."""
    rkllm_input = {"role": "user", "input_type": "RKLLM_INPUT_PROMPT", "prompt_input": prompt}
    return [None, rkllm_input, {"mode": "RKLLM_INFER_GENERATE"}, None]


def begin(client: Driven, name: str, prompt: str) -> Any:
    """Begin a stream; return the id that the library gave the request."""
    client.call(name, "rkllm.run_async", run_params(prompt))
    return client.until(event="sent", method="rkllm.run_async")["id"]


def text_of(streamed: list[dict[str, Any]]) -> str:
    """The text of a stream. Its numbers have no gap."""
    assert [params["seq"] for params in streamed] == list(range(len(streamed)))
    results = [params["result"] for params in streamed]
    return "".join(result["text"] for result in results if result["_callback_state"] == 0)


def assert_answered_once(client: Driven, request_id: Any) -> None:
    """Check that exactly one response has the id, and that the end is no notification."""
    client.ask("server.ping")
    arrived = client.wire("arrived")
    ids = [event["id"] for event in arrived if not event.get("method")]
    assert ids.count(request_id) == 1
    own = [p for p in client.streamed(request_id) if p["result"]["_callback_state"] in (2, 3)]
    assert not own, "the end is the response, not a notification"


def test_a_stream_is_notifications_and_then_one_response(client: Driven) -> None:
    """The library hands out every piece in order, and then the result that ends the run."""
    request_id = begin(client, "run", "Hi.")
    final = client.ended("run")["value"]
    assert final["_callback_state"] == 2
    assert final["perf"]["generate_tokens"] == 5
    assert_answered_once(client, request_id)
    streamed = client.streamed(request_id)
    assert text_of(streamed) == "Hello, 你world"
    assert [params["result"]["_callback_state"] for params in streamed] == [0, 0, 1, 0, 0]
    kinds = [event.get("method") for event in client.wire("arrived")]
    assert kinds[-7:] == ["rkllm.result"] * 5 + [None] * 2, "the response comes last, then the pong"


def test_an_error_is_the_librarys_own_exception(client: Driven, library: str) -> None:
    """It has the code, the message and the data, and the connection stays usable."""
    client.call("wrong", "rkllm.run_async", {"rkllm_imput": 5})
    error = client.ended("wrong")
    assert error["event"] == "error"
    assert error["kind"] == LIBRARIES[library][1]
    assert error["code"] == -32602
    assert error["data"] == {"parameter": "rkllm_imput"}
    assert "rkllm_input" in error["message"]
    client.call("unknown", "rkllm.fly")
    assert client.ended("unknown")["code"] == -32601
    assert client.ask("server.ping") == "pong"


def test_two_requests_at_once_keep_to_themselves(client: Driven) -> None:
    """Each stream has its own id and numbers; each ends with its own response."""
    prompts = {"first": "echo of the first", "second": "another echo, the second"}
    ids = {name: begin(client, name, prompt) for name, prompt in prompts.items()}
    for name, prompt in prompts.items():
        assert client.ended(name)["value"]["_callback_state"] == 2
        assert_answered_once(client, ids[name])
        assert text_of(client.streamed(ids[name])).split() == prompt.split()


def test_a_cancelled_stream_is_answered_with_32800(client: Driven) -> None:
    """One error ends it, and the NPU is free for the next."""
    request_id = begin(client, "run", "endless")
    client.until(event="notified")
    client.cancel("run")
    error = client.ended("run")
    assert (error["event"], error["code"]) == ("error", -32800)
    assert client.wire("sent", method="$/cancelRequest")
    assert_answered_once(client, request_id)
    text_of(client.streamed(request_id))
    begin(client, "next", "Hi.")
    assert client.ended("next")["value"]["_callback_state"] == 2


def test_a_ping_is_answered_in_the_middle_of_a_stream(client: Driven, go: Path) -> None:
    """The run waits for a file that is made only after the pong."""
    request_id = begin(client, "run", "gate")
    client.until(event="notified")
    assert client.ask("server.ping") == "pong"
    assert client.ask("server.status")["state"] == "running"
    go.touch()
    assert client.ended("run")["value"]["_callback_state"] == 2
    assert_answered_once(client, request_id)
    assert text_of(client.streamed(request_id)) == "beforeafter"
