"""``vision.encode``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """The parameters of the method.

    :param image: an object with base64, a JPEG, PNG or WebP picture; or with path, of such a file.
    """

    image: Mapping[str, Any]


@implementer(IPlugin, IRPCMethod, INeedsModel, IUsesNPU)
@attrs.frozen
class VisionEncode:
    """Makes a model's rows of a picture."""

    name = "vision.encode"
    summary = "Make a model's rows of a picture, for RKLLM_INPUT_MULTIMODAL."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Decode the picture in another process, then queue the call for the NPU."""
        return call.daemon.vision.encode(call.params.image, call.conversation)


vision_encode = VisionEncode()
