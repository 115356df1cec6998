"""``rkllm.get_constants``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IQuiet, IRPCMethod
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IRPCMethod, IQuiet)
@attrs.frozen
class GetConstants:
    """Returns the enums of the loaded release."""

    name = "rkllm.get_constants"
    summary = "The enums of rkllm.h by name, as the loaded release has them."
    params = NoParams
    streams = False

    def call(self, call: ICall) -> object:
        """Return the enums."""
        return call.npu.constants()


get_constants = GetConstants()
