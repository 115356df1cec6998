"""``rkllm.pause``."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, INeedsModel, IReleaseMethod, IUncounted
from rkllm_twisted.values import NoParams


@implementer(IPlugin, IReleaseMethod, IAdministrative, INeedsModel, IUncounted)
@attrs.frozen
class Pause:
    """Pauses a run like a C program that returns 1 from its callback (rkllm.h 1.2.1)."""

    name = "rkllm.pause"
    summary = "Pause the run under way (the callback returns 1); the next run goes on from there."
    params = NoParams
    streams = False

    def exists_in(self, release: Any) -> bool:
        """See :class:`IReleaseMethod`."""
        possible: bool = release.can_pause
        return possible

    def call(self, call: ICall) -> object:
        """Pause at once, without a turn in the queue."""
        return call.npu.pause()


pause = Pause()
