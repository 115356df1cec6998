"""``vision.unload``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, INeedsModel, IRPCMethod, IUsesNPU
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IAdministrative, INeedsModel, IUsesNPU)
@attrs.frozen
class VisionUnload:
    """Unloads the vision encoder."""

    name = "vision.unload"
    summary = "Unload the vision encoder, once the calls that were queued before have ended."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Queue the call for the NPU."""
        return call.daemon.vision.unload(call.conversation)


vision_unload = VisionUnload()
