"""The parts of the daemon that make rows of pictures, from its options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService

from rkllm_twisted.daemon.configured_encoder import ConfiguredEncoder
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.encoders.vision import Vision
from rkllm_twisted.interfaces import INPU
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.vision_interfaces import EncoderLoad, IVision

if TYPE_CHECKING:
    from rkllm_twisted.encoders.requests import VisionRequests


def vision_for(npu: INPU, options: Options) -> Vision:
    """Make the daemon's vision encoder; none is loaded."""
    return Vision(npu, Files(options["model-dir"]), options["vision-library"])


def vision_requests(vision: IVision, options: Options) -> VisionRequests:
    """Make what answers ``vision.*``. The first client that asks pays for the imports."""
    from rkllm_twisted.encoders.requests import VisionRequests  # noqa: PLC0415
    from rkllm_twisted.offload.picture import pixels_of  # noqa: PLC0415

    return VisionRequests(vision, Files(options["model-dir"]), pixels_of)


def encoder_services(options: Options, reactor: Any, vision: IVision) -> Iterator[IService]:
    """Yield what loads the encoder by itself, if the options ask for it."""
    if options["encoder"] is not None:
        path = str(Path(options["encoder"]).absolute())
        yield ConfiguredEncoder(reactor, vision, EncoderLoad(path))
