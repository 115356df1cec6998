"""``vision.load``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import IAdministrative, ICall, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """The parameters of the method.

    :param path: of the encoder's file, such as ``.rknn``.
    :param cores: the NPU's cores: auto, 0, 1, 2, 0_1, 0_1_2 or all.
    :param family: the name of the model's family, for the texts around an image and for fit; null:
        the family that the name of the file says, if it does.
    :param tags: these texts in place of the family's: start, end and content.
    :param fit: pad or stretch, in place of the family's.
    :param resample: vendor, as Rockchip's demonstration resizes; or smooth, with averaging.
    :param keep_loaded: false to unload it after each picture, and to load it for the next.
    """

    path: str
    cores: str = "auto"
    family: str | None = None
    tags: Mapping[str, Any] | None = None
    fit: str | None = None
    resample: str = "vendor"
    keep_loaded: bool = True


@implementer(IPlugin, IRPCMethod, IAdministrative, IUsesNPU)
@attrs.frozen
class VisionLoad:
    """Loads a vision encoder."""

    name = "vision.load"
    summary = "Load a vision encoder, in a process of its own; the loaded one is unloaded first."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Queue the call for the NPU."""
        return call.daemon.vision.load(call.params, call.conversation)


vision_load = VisionLoad()
