"""Which part of the NPU's memory a model gets, if a vision encoder is loaded beside it.

The NPU of RK3588 and RK3576 has addresses for 4 GB in each domain. With encoder and model in one,
loading fails with ``failed to malloc npu memory``; Rockchip's demonstration of 1.3.0 loads the
encoder first, into domain 0, and the model into domain 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rkllm_twisted.abi.release import Release
from rkllm_twisted.abi.to_c import fields_of
from rkllm_twisted.daemon.image_texts import takes_texts, with_image_texts
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.vision_interfaces import EncoderFacts, EncoderLoad, IVision

#: The chips that need it, by the end of their names in the device tree.
CHIPS = ("rk3588", "rk3588s", "rk3576")
#: Release 1.1.x crashes with another domain than 0.
WITHOUT = ("1.1.4",)
#: The names of the board, with a NUL after each (devicetree specification 0.4, section 2.3.1).
COMPATIBLE = Path("/proc/device-tree/compatible")
_STRUCTURE, _FIELD, _DOMAIN = "extend_param", "base_domain_id", 1

#: Adds to the fields of an RKLLMParam what they do not say; gets the model, if it has a name.
AdaptParam = Callable[[Mapping[str, object], "NamedModel | None"], Mapping[str, object]]


def unadapted(param: Mapping[str, object], _: NamedModel | None = None) -> Mapping[str, object]:
    """Return the fields as they are."""
    return param


def has_domains(compatible: str) -> bool:
    """True if a board needs a domain for the model."""
    names = [name.rpartition(",")[2] for name in compatible.split("\0")]
    return any(name in CHIPS for name in names)


def needs_domain(release: Release, compatible: str) -> bool:
    """True if a model beside an encoder needs a domain, and the release can give it one."""
    knows = _FIELD in fields_of(release, release.structs["RKLLMExtendParam"])
    return release.name not in WITHOUT and knows and has_domains(compatible)


def this_board() -> str:
    """Return the names of this board; empty if there is no device tree."""
    try:
        return COMPATIBLE.read_text("utf-8", "replace")
    except OSError:
        return ""


def beside(vision: IVision, release: Release, compatible: str) -> AdaptParam:
    """Return what prepares a model for the encoder that is loaded with it.

    It has a domain of its own, and the texts around an image if its release takes them with
    ``rkllm_init``. What the fields name stays.

    :param compatible: the names of the board.
    """

    def adapt(param: Mapping[str, object], named: NamedModel | None) -> Mapping[str, object]:
        encoder: EncoderFacts | None = vision.encoder
        if encoder is None:
            return param
        return with_encoder(param, encoder.asked, named, release, compatible)

    return adapt


def with_encoder(
    param: Mapping[str, object],
    asked: EncoderLoad,
    named: NamedModel | None,
    release: Release,
    compatible: str,
) -> Mapping[str, object]:
    """Return the fields of a model that is loaded after an encoder; see :func:`beside`."""
    if takes_texts(release):
        param = with_image_texts(param, asked, named)
    return with_domain(param) if needs_domain(release, compatible) else param


def with_domain(param: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields with a domain, unless they name one."""
    extend = param.get(_STRUCTURE) or {}
    if not isinstance(extend, Mapping) or _FIELD in extend:
        return param
    return {**param, _STRUCTURE: {**extend, _FIELD: _DOMAIN}}
