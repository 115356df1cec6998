"""Tables of functions define the methods of both clients and cover every method of the daemon."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import attrs
import pytest

from rkllm_twisted import blocking, client
from rkllm_twisted.abi.release import releases
from rkllm_twisted.client_core import (
    inference_methods,
    methods,
    model_methods,
    sequence_method,
    vision_methods,
)
from rkllm_twisted.client_core.call import MethodCall
from rkllm_twisted.rpc.registry import find_methods

#: Methods without a function of their own: the client leaves the loop or cancels the Deferred.
OTHERWISE = {"$/cancelRequest", "server.cancel"}
DESCRIBING = ("rpc.", "system.")
#: The arguments of each function that needs some.
ARGUMENTS = {
    "init": ["/m"],
    "run": ["q"],
    "run_async": ["q"],
    "load_lora": ["/p", "n"],
    "load_prompt_cache": ["/p"],
    "configure": ["json"],
    "show_model": ["name"],
    "load_model": ["name"],
    "chat": ["q"],
    "chat_stream": ["q"],
    "sequence": [[]],
    "render_chat": ["q"],
    "complete_text": ["q"],
    "structured_text": ["q"],
    "create_embeddings": ["q"],
    "score_documents": ["q", ["d"]],
    "encode_tokens": ["q"],
    "decode_tokens": [[1]],
    "count_tokens": ["q"],
    "load_encoder": ["/e"],
    "encode_image": ["/i"],
}
TABLES = (methods, model_methods, inference_methods, sequence_method, vision_methods)


def functions() -> dict[str, Any]:
    """Return the functions of the tables."""
    return {
        name: function
        for table in TABLES
        for name, function in inspect.getmembers(table, inspect.isfunction)
        if function.__module__ == table.__name__ and not name.startswith("_")
    }


def made(name: str) -> MethodCall[Any]:
    """Make a call with the required arguments only."""
    call: MethodCall[Any] = functions()[name](*ARGUMENTS.get(name, []))
    return call


@pytest.mark.parametrize("kind", [blocking.Client, client.Client])
def test_each_client_has_a_method_for_each_call(kind: type) -> None:
    """Both have the same name."""
    for name, function in functions().items():
        assert inspect.unwrap(getattr(kind, name)) is function


@pytest.mark.parametrize("kind", [blocking.Client, client.Client])
def test_a_method_looks_like_its_call(kind: Any) -> None:
    """help() and editors show its name, its documentation, and its parameters after ``self``."""
    assert kind.init.__name__ == "init"
    assert "max_context_len" in kind.init.__doc__
    assert "sampling_params" in str(inspect.signature(kind.run))
    named = [*inspect.signature(kind.init).parameters]
    assert named[:5] == ["self", "model_path", "param", "timeout", "max_context_len"]
    assert named[-1] == "ignore_eos_token", "each field of the structure is shown"
    bound = inspect.signature(kind.load_prompt_cache.__get__(object()))
    assert [*bound.parameters] == ["prompt_cache_path"]


def test_a_method_shows_what_it_returns() -> None:
    """The blocking client returns a value, Twisted's client a Deferred of it."""

    def returns(method: Any) -> str:
        return str(inspect.signature(method).return_annotation)

    assert returns(blocking.Client.run) == "FinishedResult"
    assert returns(client.Client.run) == "Deferred[FinishedResult]"
    assert returns(client.Client.run_async) == "AsyncGenerator[Result, None]"


def test_each_method_of_the_daemon_has_a_call() -> None:
    """A new plugin of the package needs a line in the table. A new function may do without."""
    known = {"1.3.0": releases()["1.3.0"]}
    needed = {name for name in find_methods(known=known) if not name.startswith(DESCRIBING)}
    calls = {made(name).method for name in functions()}
    assert needed - OTHERWISE <= calls <= find_methods().keys() - OTHERWISE


@pytest.mark.parametrize("name", sorted(functions()))
def test_parameters_are_those_of_the_c_function(name: str) -> None:
    """The names are those of some release."""
    call = made(name)
    method = find_methods()[call.method]
    function = getattr(method, "function", None)
    if function is None:
        return
    known = {
        parameter.name
        for release in releases().values()
        if function in release.functions
        for parameter in release.functions[function].parameters
    }
    assert set(call.params or ()) <= known


#: Function -> the method of the daemon, and the parameters that are not by name only.
INFERENCE_METHODS: dict[str, tuple[str, set[str]]] = {
    "chat": ("chat_complete", {"stream"}),
    "chat_stream": ("chat_complete", {"stream"}),
    "render_chat": ("chat_render", set()),
    "complete_text": ("text_complete", {"stream"}),
    "structured_text": ("text_structured", {"stream"}),
    "create_embeddings": ("embeddings_create", set()),
    "score_documents": ("rerank_score", set()),
    "count_tokens": ("tokens_count", set()),
}


@pytest.mark.parametrize("function", INFERENCE_METHODS)
def test_a_method_takes_the_parameters_of_the_daemons(function: str) -> None:
    module, by_the_client = INFERENCE_METHODS[function]
    params = importlib.import_module(f"rkllm_twisted.methods.{module}").Params
    taken = {*inspect.signature(getattr(blocking.Client, function)).parameters} - {
        "self",
        "timeout",
    }
    assert taken == {field.name for field in attrs.fields(params)} - by_the_client
