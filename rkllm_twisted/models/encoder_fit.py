"""Which models a vision encoder belongs to. Pure."""

from __future__ import annotations

import attrs

from rkllm_twisted.chat.families import Family, ImageMarks, named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.vision_interfaces import EncoderFacts, EncoderLoad


def family_of_encoder(asked: EncoderLoad) -> Family | None:
    """Return the family that an encoder was loaded for; None if its client named none."""
    return None if asked.family is None else named(asked.family, FAMILIES)


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


def is_of_another_family(asked: EncoderLoad, family: str | None) -> bool:
    """True if an encoder was loaded for another family than a model's.

    :param family: the name of the model's; None if it is not known.
    """
    return asked.family is not None and family is not None and asked.family != family


def fits(encoder: EncoderFacts, model: NamedModel) -> bool:
    """True if a model would read an encoder's rows, as far as its files show."""
    header = model.file.header
    width = header.count(f"{header.architecture}.embedding_length") if header else None
    return (
        "completion" in model.capabilities
        and width in (None, encoder.row_width)
        and not is_of_another_family(encoder.asked, model.family)
        and marks_with(encoder.asked, model.image) is not None
    )
