"""``rkllm.is_running``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IImmediate, IQuiet, IRKLLMMethod, IUncounted
from rkllm_twisted.methods._function import OnlyHandle


@implementer(IPlugin, IRKLLMMethod, IImmediate, IQuiet, IUncounted)
@attrs.frozen
class IsRunning:
    """Returns whether a run is under way, whatever number the release uses for it."""

    name = "rkllm.is_running"
    function = "rkllm_is_running"
    summary = "Is a run under way? True when the runtime says so, on every release."
    params = OnlyHandle
    streams = False

    def call(self, call: ICall) -> object:
        """Answer at once, without a turn in the queue."""
        return call.npu.is_running()


is_running = IsRunning()
