"""A real daemon describes itself, including a third party's methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Daemon
from openrpc_schema import Document, meta_schema

Start = Callable[..., Daemon]
GREETINGS = """
import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer
from rkllm_twisted.interfaces import IDescribedMethod

@attrs.frozen
class Params:
    '''What greet.hello takes.

    :param name: whom to greet.
    '''

    name: str = "world"

@implementer(IPlugin, IDescribedMethod)
@attrs.frozen
class Hello:
    name = "greet.hello"
    summary = "Greets somebody."
    params = Params
    result = str
    streams = False
    def call(self, call):
        return "Hello, " + call.params.name

hello = Hello()
"""


@pytest.fixture
def daemon(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """Start a daemon with a third party's drop-in."""
    plugins = tmp_path / "site" / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "greetings_methods.py").write_text(GREETINGS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return start("--abi=1.3.0")


def test_the_daemons_document_is_valid_and_has_others_methods(daemon: Daemon) -> None:
    """The answer of rpc.discover is OpenRPC, and the daemon behaves as it says."""
    with daemon.connect() as client:
        found = Document(client.ask("rpc.discover")["result"])
        assert [error.message for error in meta_schema().iter_errors(found.document)] == []
        assert found.document["x-abi"]["layout"] == "1.3.0"
        hello = found.methods["greet.hello"]
        assert hello["summary"] == "Greets somebody."
        assert [param["name"] for param in hello["params"]] == ["name"]
        assert hello["params"][0]["description"] == "whom to greet."
        assert found.problems("greet.hello", client.ask("greet.hello", ["Anna"])["result"]) == []
        assert found.refuses("greet.hello", {"name": 5})
        assert client.ask("greet.hello", {"name": 5})["error"]["code"] == -32602


def test_everything_that_is_listed_can_be_called(daemon: Daemon) -> None:
    """The list, the help, the signatures and the document name the same methods."""
    with daemon.connect() as client:
        names = client.ask("system.listMethods")["result"]
        assert names == sorted(names)
        document = client.ask("rpc.discover")["result"]
        assert names == sorted(method["name"] for method in document["methods"])
        assert {"greet.hello", "rkllm.run", "rpc.discover", "system.listMethods"} <= {*names}
        for name in names:
            assert client.ask("system.methodHelp", [name])["result"]
            assert client.ask("system.methodSignature", [name])["result"]
            unknown = client.ask(name, {"no such parameter": None}).get("error", {})
            assert unknown.get("code") == -32602, name


@pytest.mark.parametrize("method", ["system.methodHelp", "system.methodSignature", "rkllm.rnu"])
def test_an_unknown_method_is_answered_with_the_one_that_may_be_meant(
    daemon: Daemon, method: str
) -> None:
    """The error is the same for a call and for a question about the method."""
    with daemon.connect() as client:
        answer = client.ask(method, ["rkllm.rnu"] if method.startswith("system.") else None)
    error = answer["error"]
    assert error["code"] == -32601
    assert error["data"] == {"method": "rkllm.rnu"}
    assert "perhaps rkllm.run is meant" in error["message"]
    assert "rpc.discover" in error["message"]
    assert "rkllm methods" in error["message"]


def test_a_prefix_that_was_forgotten_is_suggested(daemon: Daemon) -> None:
    """A name that resembles no method gets no suggestion."""
    with daemon.connect() as client:
        error = client.ask("run_async")["error"]
        assert "perhaps rkllm.run_async is meant" in error["message"]
        assert "perhaps" not in client.ask("fly.to.the.moon")["error"]["message"]
