"""A function as an RPC method: :mod:`rkllm_twisted.plugin`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from rkllm_twisted.abi.release import releases
from rkllm_twisted.daemon.self_description import describe_for
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.interfaces import IAdministrative, INeedsModel, IRPCMethod, IUsesNPU
from rkllm_twisted.plugin import FunctionMethod, method
from rkllm_twisted.rpc.parameters import convert_params
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.values import Params

if TYPE_CHECKING:
    from rkllm_twisted.interfaces import ICall


@method("greet.hello")
def hello(name: str = "world", *, times: int = 1) -> dict[str, str]:
    """Greet by name.

    :param name: the name.
    """
    return {"greeting": f"Hello, {name}!" * times}


@method("greet.back", summary="Greet back.", streams=True, administrative=True)
async def back(call: ICall, name: str) -> str:
    """Stream a text, then greet."""
    call.stream("…")
    return f"Hello from {name}"


def answer(of: FunctionMethod, params: Params, **facts: Any) -> Any:
    """Call a method as the dispatcher does."""
    converted = convert_params(of.params, params)
    return of.call(SimpleNamespace(params=converted, **facts))  # type: ignore[arg-type]


@pytest.mark.parametrize("params", [{"name": "Anna"}, ["Anna"], ["Anna", 1]])
def test_parameters_go_by_name_or_by_position(params: Params) -> None:
    """Positions follow the function's order."""
    assert answer(hello, params) == {"greeting": "Hello, Anna!"}


def test_defaults_are_the_functions() -> None:
    """The request has no parameters."""
    assert answer(hello, None) == {"greeting": "Hello, world!"}


@pytest.mark.parametrize("params", [{"name": 5}, {"nam": "x"}, ["x", 1, 2]])
def test_wrong_parameters_are_refused_before_the_call(params: Params) -> None:
    """The annotations give the types."""
    with pytest.raises(InvalidParams):
        answer(hello, params)


def test_a_coroutine_function_gets_the_call() -> None:
    """Its first parameter is called call; the annotation may be for a type checker only."""
    streamed: list[object] = []
    running = answer(back, {"name": "here"}, stream=streamed.append)
    with pytest.raises(StopIteration) as ended:
        running.send(None)
    assert (ended.value.value, streamed) == ("Hello from here", ["…"])


def test_it_is_a_method_like_any_other() -> None:
    """The registry accepts it and knows its module."""
    found = find_methods([hello, back])
    assert list(found) == ["greet.back", "greet.hello"]
    assert all(IRPCMethod.providedBy(one) for one in found.values())
    assert type(hello).__module__ == __name__
    assert (hello.streams, back.streams) == (False, True)


def test_an_administrative_method_is_marked() -> None:
    """Other methods have no mark."""
    assert IAdministrative.providedBy(back)
    assert not IAdministrative.providedBy(hello)


def test_a_method_that_uses_the_npu_is_marked() -> None:
    """Its description names the errors of such calls."""
    asks = method("greet.ask", uses_npu=True)(lambda: None)
    marks = (IUsesNPU, INeedsModel)
    assert all(mark.providedBy(asks) for mark in marks)
    assert not any(mark.providedBy(hello) for mark in marks)


def test_it_is_described_to_clients() -> None:
    """Summary, types, defaults and meanings."""
    described = describe_for({"greet.hello": hello, "greet.back": back}, releases()["1.3.0"])
    text = described.help["greet.hello"]
    assert text.startswith("Greet by name.\n")
    assert "  name (string, optional): the name." in text
    assert "  times (integer, optional)" in text
    assert described.help["greet.back"].startswith("Greet back.\n")
    assert described.signatures["greet.back"] == [["string", "string"]]


def test_parameters_that_no_request_can_have_are_refused() -> None:
    """The error is raised at import, so the log names the plugin."""

    def many(*names: str) -> None:
        """Take any number."""

    with pytest.raises(TypeError, match=r"greet\.many: \*names: 'str' cannot be a parameter"):
        method("greet.many")(many)


def test_without_annotations_anything_is_taken() -> None:
    """Such a function accepts any JSON value."""

    def loose(value):  # type: ignore[no-untyped-def]
        return value

    made = method("greet.loose")(loose)
    assert answer(made, [{"a": 1}]) == {"a": 1}
    assert made.summary == "greet.loose"
    assert attrs.has(made.params)
