"""Shared by the methods that make one call of one C function."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, IRKLLMMethod


@attrs.frozen
class OnlyHandle:
    """The parameters of a function that has none but the daemon's own.

    :param handle: null, or left out.
    """

    handle: None = None


@implementer(IPlugin, IRKLLMMethod)
@attrs.frozen
class Function:
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
class AdministrativeFunction(Function):
    """A function that changes what all clients share: the model, adapters, caches, templates."""
