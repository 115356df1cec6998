"""The RPC methods that are one call of a C function, made from the rows of ``rkllm-abi.json``.

A function that needs more than that has a module in :mod:`rkllm_twisted.methods`, as ``rkllm.run``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.abi.declarations import Function
from rkllm_twisted.abi.release import Release
from rkllm_twisted.interfaces import IAdministrative, ICall, IRKLLMMethod


@implementer(IPlugin, IRKLLMMethod)
@attrs.frozen
class CFunctionMethod:
    """An RPC method that is a C function: same parameters, same order, same names.

    :param name: the RPC method.
    :param function: the C function.
    :param summary: one line that says what it does.
    """

    name: str
    function: str
    summary: str
    params: None = None
    streams: bool = False

    def call(self, call: ICall) -> object:
        """Queue the call for the NPU."""
        return call.npu.call(self.function, call.params, call.conversation)


@implementer(IAdministrative)
@attrs.frozen
class AdministrativeCFunctionMethod(CFunctionMethod):
    """A function that changes what all clients share: the model, adapters, caches, templates."""


def function_methods(
    known: Mapping[str, Release], without: Container[str] = ()
) -> list[CFunctionMethod]:
    """Make the methods of the functions that any release has.

    :param known: every layout by name, oldest first.
    :param without: the functions whose methods modules define.
    """
    newest = {f.name: f for release in known.values() for f in release.functions.values()}
    return [_method(function) for name, function in newest.items() if name not in without]


def _method(function: Function) -> CFunctionMethod:
    made = AdministrativeCFunctionMethod if function.administrative else CFunctionMethod
    return made(f"rkllm.{function.name.removeprefix('rkllm_')}", function.name, function.summary)
