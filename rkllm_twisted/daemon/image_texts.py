"""The texts around an image, for models of releases that take them with ``rkllm_init``.

Since 1.3.0 they come with each input. Before, a model that was loaded without them cannot be shown
an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from rkllm_twisted.abi.release import Release
from rkllm_twisted.abi.to_c import fields_of
from rkllm_twisted.chat.families import ImageMarks, family_of
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.models.encoder_fit import marks_with, reason_against_family
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.vision_interfaces import EncoderLoad

#: The fields of RKLLMParam -> their places in :class:`ImageMarks`.
FIELDS = {"img_start": "start", "img_content": "content", "img_end": "end"}


def takes_texts(release: Release) -> bool:
    """True if a release takes the texts with ``rkllm_init``."""
    return FIELDS.keys() <= fields_of(release, release.structs["RKLLMParam"]).keys()


def with_image_texts(
    param: Mapping[str, object], asked: EncoderLoad, named: NamedModel | None = None
) -> Mapping[str, object]:
    """Return the fields of an RKLLMParam with the texts, unless they name one or none are known.

    :param asked: the load of the encoder that is loaded with the model.
    :param named: the model; None: its family shows in the name of its file only.
    """
    family, own = _facts_of(param, named)
    marks = marks_with(asked, own)
    given = param.keys() | (named.settings.param.keys() if named else set())
    if marks is None or FIELDS.keys() & given or reason_against_family(asked, family):
        return param
    return {**param, **{field: getattr(marks, place) for field, place in FIELDS.items()}}


def _facts_of(
    param: Mapping[str, object], named: NamedModel | None
) -> tuple[str | None, ImageMarks | None]:
    """Return the name of the model's family, and the texts that its files say."""
    if named is not None:
        return named.family, named.image
    family = family_of(PurePath(str(param.get("model_path"))).name, FAMILIES)
    return (None, None) if family is None else (family.name, family.image)
