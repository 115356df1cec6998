"""``rkllm.run_async``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IRKLLMMethod, IWritesFile
from rkllm_twisted.methods._saving import check_saving


@implementer(IPlugin, IRKLLMMethod, IWritesFile)
@attrs.frozen
class RunAsync:
    """Streams every callback of a run; the one that ends it is the result."""

    name = "rkllm.run_async"
    function = "rkllm_run_async"
    summary = "Run the model and stream an RKLLMResult per callback; states 2 and 3 end the stream."
    params = None
    streams = True

    def call(self, call: ICall) -> object:
        """Queue the run."""
        check_saving(call.conversation, call.params)
        return call.npu.stream(
            self.function, call.params, call.stream_all, call.conversation, call.encode_floats
        )


run_async = RunAsync()
