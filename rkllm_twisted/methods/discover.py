"""``rpc.discover``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IQuiet)
@attrs.frozen
class Discover:
    """Returns the OpenRPC document, which describes all methods."""

    name = "rpc.discover"
    summary = "The OpenRPC document: every method of this daemon, for the loaded release."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Return the document that was encoded when the daemon started."""
        return call.daemon.description.document


discover = Discover()
