"""Which models a vision encoder belongs to. Pure."""

from __future__ import annotations

from pathlib import PurePath

import attrs

from rkllm_twisted.chat.families import Family, ImageMarks, family_of, named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.vision_interfaces import EncoderFacts, EncoderLoad


def family_of_encoder(asked: EncoderLoad) -> Family | None:
    """Return the family that an encoder was loaded for; None if it is not known.

    If its client has named none, the name of the file says it: Rockchip's export names encoders
    after their model, e.g. ``qwen3-vl_vision_rk3588.rknn``. The file itself has no such name.
    """
    if asked.family is not None:
        return named(asked.family, FAMILIES)
    family = family_of(PurePath(asked.path).name, FAMILIES)
    return family if family is not None and family.image is not None else None


def marks_with(asked: EncoderLoad, own: ImageMarks | None) -> ImageMarks | None:
    """Return the texts around images: those that came with the encoder, else the model's.

    :param own: the model's; None if they are not known.
    :returns: None if no texts are known.
    """
    if asked.tags is not None:
        return ImageMarks(**attrs.asdict(asked.tags))
    if own is not None:
        return own
    family = family_of_encoder(asked)
    return None if family is None else family.image


def reason_against_family(asked: EncoderLoad, family: str | None) -> str | None:
    """Return why an encoder is another family's than a model, in words; None if it is not.

    :param family: the name of the model's; None if it is not known.
    """
    own, theirs = family_of_encoder(asked), _family_named(family)
    if own is None or theirs is None or own is theirs:
        return None
    if asked.family is not None:
        return f"the vision encoder was loaded for the family {own.name}"
    if theirs.image is None:  # its rkllm.toml may have the texts
        return None
    return f"the vision encoder's file is named after the family {own.name}"


def reason_against_outputs(outputs: int, family: Family | None) -> str | None:
    """Return why models of a family cannot read an encoder's rows; None if they can.

    :param outputs: how many the encoder has.
    :param family: None if it is not known.
    """
    if family is None or family.image is None or outputs in family.image_outputs:
        return None
    counts = " or ".join(map(str, family.image_outputs))
    return (
        f"the vision encoder has {outputs} outputs, and those of the family {family.name}"
        f" have {counts}; load the encoder that was exported with the model"
    )


def reason_against_width(encoder: EncoderFacts, width: int) -> str | None:
    """Return why a model cannot read an encoder's rows; None if it can.

    A row of one output must be as wide as the model's embeddings. A row that is twice as wide is
    another model's: deepstack has more outputs, not wider ones.

    :param width: of the model's embeddings; 0 if it is not known.
    """
    if width in (0, encoder.row_width):
        return None
    return (
        f"the vision encoder's rows have {encoder.row_width} numbers, and the loaded model's"
        f" embeddings have {width}: they belong to different models. Load the encoder that was"
        " exported with the model"
    )


def fits(encoder: EncoderFacts, model: NamedModel) -> bool:
    """True if a model would read an encoder's rows, as far as its files show."""
    header = model.file.header
    width = header.count(f"{header.architecture}.embedding_length") if header else None
    return (
        "completion" in model.capabilities
        and width in (None, encoder.row_width)
        and reason_against_family(encoder.asked, model.family) is None
        and reason_against_outputs(encoder.outputs, _family_named(model.family)) is None
        and marks_with(encoder.asked, model.image) is not None
    )


def _family_named(name: str | None) -> Family | None:
    return None if name is None else named(name, FAMILIES)
