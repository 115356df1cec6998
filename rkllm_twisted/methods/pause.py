"""``rkllm.pause``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, IRPCMethod
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IAdministrative)
@attrs.frozen
class Pause:
    """Does what a C program does by returning 1 from its callback."""

    name = "rkllm.pause"
    summary = "Pause the run under way (the callback returns 1); the next run goes on from there."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Go around the queue."""
        return call.npu.pause()


pause = Pause()
