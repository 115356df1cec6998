"""The RPC methods that are one call of a C function."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from rkllm_twisted.abi.release import releases
from rkllm_twisted.errors import PluginClash
from rkllm_twisted.interfaces import IAdministrative, IRKLLMMethod
from rkllm_twisted.rpc.functions import function_methods
from rkllm_twisted.rpc.registry import find_methods

METHODS = {method.name: method for method in function_methods(releases())}


@attrs.frozen
class FakeNPU:
    """Returns what it is asked for."""

    def call(self, *asked: object) -> tuple[object, ...]:
        """Return the arguments."""
        return asked


@attrs.frozen
class FakeCall:
    """One request."""

    params: Any
    npu: FakeNPU = attrs.Factory(FakeNPU)
    conversation: str = "the client's"


@pytest.mark.parametrize("name", METHODS)
def test_each_method_provides_the_interface(name: str) -> None:
    """A method of the table is a plugin like any other, named after its function."""
    method = METHODS[name]
    assert verifyObject(IPlugin, method)
    assert verifyObject(IRKLLMMethod, method)
    assert name.partition(".")[2] == method.function.partition("_")[2]


def test_a_function_is_queued_for_its_connection_as_it_was_sent() -> None:
    """The method passes the parameters on unchanged; the layout table checks them."""
    params = [None, {"model_path": "m"}]
    asked = METHODS["rkllm.init"].call(FakeCall(params))  # type: ignore[arg-type]
    assert asked == ("rkllm_init", params, "the client's")


def test_a_row_says_what_only_administrators_may_call() -> None:
    """rkllm.init changes the model of all clients, and rkllm.get_kv_cache_size nothing."""
    assert IAdministrative.providedBy(METHODS["rkllm.init"])
    assert not IAdministrative.providedBy(METHODS["rkllm.get_kv_cache_size"])


def test_a_function_with_a_module_is_the_modules() -> None:
    """rkllm.run joins the text of its results, which no row of the table says."""
    found = find_methods()
    assert type(found["rkllm.run"]).__module__ == "rkllm_twisted.methods.run"
    assert found["rkllm.init"] == METHODS["rkllm.init"]


def test_every_method_of_the_table_says_what_it_does() -> None:
    """A function has a summary in its row, or a module."""
    assert all(method.summary for method in find_methods().values())


def test_a_third_partys_plugin_does_not_replace_a_function() -> None:
    """Otherwise a package could take over rkllm.init unseen."""
    theirs = attrs.evolve(METHODS["rkllm.init"], summary="Mine.")
    with pytest.raises(PluginClash, match=r"Two plugins provide rkllm\.init"):
        find_methods([theirs], releases())
