"""``server.ping``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod, IUncounted
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IQuiet, IUncounted)
@attrs.frozen
class Ping:
    """Answers at once, whatever the NPU does."""

    name = "server.ping"
    summary = "Answers 'pong' at once, whatever the NPU does."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Answer."""
        return "pong"


ping = Ping()
