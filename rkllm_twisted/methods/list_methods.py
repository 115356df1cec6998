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
    """Lists the names of the methods, as in the introspection of XML-RPC and txJSON-RPC."""

    name = "system.listMethods"
    summary = "The names of all methods."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Return the names in alphabetical order."""
        return sorted(call.daemon.description.help)


list_methods = ListMethods()
