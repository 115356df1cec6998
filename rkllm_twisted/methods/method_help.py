"""``system.methodHelp``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod
from rkllm_twisted.methods._about import AboutParams, of_method


@implementer(IPlugin, IRPCMethod, IQuiet)
@attrs.frozen
class MethodHelp:
    """Explains a method to a person."""

    name = "system.methodHelp"
    summary = "What a method does, takes and answers, as text."
    params = AboutParams
    streams = False

    def call(self, call: ICall) -> object:
        """Return the text of the method."""
        return of_method(call.params.method, call.daemon.description.help)


method_help = MethodHelp()
