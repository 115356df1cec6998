"""``rkllm.abort``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, IImmediate, IRKLLMMethod, IUncounted
from rkllm_twisted.methods._function import OnlyHandle


@implementer(IPlugin, IRKLLMMethod, IImmediate, IAdministrative, IUncounted)
@attrs.frozen
class Abort:
    """Stops the run under way, whichever client started it, as rkllm_abort does."""

    name = "rkllm.abort"
    function = "rkllm_abort"
    summary = "Stop the run under way, whoever asked for it; $/cancelRequest stops one's own only."
    params = OnlyHandle
    streams = False

    def call(self, call: ICall) -> object:
        """Abort at once, without a turn in the queue."""
        return call.npu.abort()


abort = Abort()
