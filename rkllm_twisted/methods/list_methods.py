"""``system.listMethods``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IQuiet)
@attrs.frozen
class ListMethods:
    """The first of the three by which clients of XML-RPC and txJSON-RPC look round."""

    name = "system.listMethods"
    summary = "The names of all methods."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """List them."""
        return sorted(call.daemon.description.help)


list_methods = ListMethods()
