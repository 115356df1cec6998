"""A fake daemon has the methods that a test gives it."""

from __future__ import annotations

import pytest

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import MethodNotFound
from rkllm_twisted.interfaces import ICall
from rkllm_twisted.plugin import method
from rkllm_twisted.testing import FakeDaemon


@method("greet.hello")
def hello(name: str = "world") -> dict[str, str]:
    """Greet by name."""
    return {"greeting": f"Hello, {name}!"}


@method("greet.model")
async def ask(call: ICall, prompt: str) -> str:
    """Run the model."""
    texts: list[str] = []
    params = {"rkllm_input": {"prompt_input": prompt}}
    await call.npu.run(
        "rkllm_run", params, lambda result: texts.append(result["text"]), call.conversation
    )
    return "".join(texts)


def test_a_method_is_tried_without_being_installed() -> None:
    """The daemon's own methods stay available."""
    with FakeDaemon(methods=[hello]).listening() as path, Client(path) as client:
        assert client.callRemote("greet.hello", "Anna") == {"greeting": "Hello, Anna!"}
        assert client.callRemote("server.ping") == "pong"
    with (
        FakeDaemon().listening() as path,
        Client(path) as client,
        pytest.raises(MethodNotFound),
    ):
        client.callRemote("greet.hello")


def test_a_method_runs_the_fake_model() -> None:
    """The test gives the model's answers."""
    daemon = FakeDaemon({"Hi": "Hello there"}, model="m", methods=[ask])
    with daemon.listening() as path, Client(path) as client:
        assert client.callRemote("greet.model", "Hi") == "Hello there"
