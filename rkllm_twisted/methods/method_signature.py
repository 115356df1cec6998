"""``system.methodSignature``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod
from rkllm_twisted.methods._about import AboutParams, of_method


@implementer(IPlugin, IRPCMethod, IQuiet)
@attrs.frozen
class MethodSignature:
    """Names the types of a method, by position."""

    name = "system.methodSignature"
    summary = "The types of a method's result and parameters, one list for each way to call it."
    params = AboutParams
    streams = False

    def call(self, call: ICall) -> object:
        """Return the signatures of the method."""
        return of_method(call.params.method, call.daemon.description.signatures)


method_signature = MethodSignature()
