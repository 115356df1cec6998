"""``server.status``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod, IUncounted
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IQuiet, IUncounted)
@attrs.frozen
class Status:
    """Returns the state of the daemon and of the NPU."""

    name = "server.status"
    summary = "State, model, queue, clients and counts, now."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Ask the daemon, and add which connection asks."""
        return {**call.daemon.status(), "client": call.conversation.peer.number}


status = Status()
