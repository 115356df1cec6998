"""Typed results of the methods for vision encoders. Each keeps the daemon's result in ``raw``."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rkllm_twisted.client_core.results import Raw, Rows, as_rows, known


@attrs.frozen
class Encoder:
    """The result of ``vision.load``.

    :param width: of its input, in pixels.
    :param height: of its input, in pixels.
    :param tokens: the rows that it makes of a picture.
    :param row_width: the numbers of a row of one output.
    :param outputs: its outputs; more than 1 with deepstack.
    :param is_real: False for a library that makes up its rows.
    :param load_time_s: how long loading took, in seconds.
    """

    path: str
    kind: str = ""
    library: str = ""
    version: str = ""
    driver: str = ""
    is_real: bool = True
    width: int = 0
    height: int = 0
    tokens: int = 0
    row_width: int = 0
    outputs: int = 1
    family: str | None = None
    tags: Mapping[str, str] | None = None
    load_time_s: float = 0.0
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen
class ImageRows:
    """The result of ``vision.encode``; ``raw`` has the fields of RKLLMMultiModalInput.

    :param image_embed: n_image_tokens x (outputs * row_width) numbers.
    """

    image_embed: Rows = attrs.field(repr=False)
    n_image_tokens: int = 0
    image_width: int = 0
    image_height: int = 0
    row_width: int = 0
    outputs: int = 1
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen
class EncoderUnloaded:
    """The result of ``vision.unload``.

    :param path: of its file.
    """

    path: str
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)


def encoder_of(raw: Raw) -> Encoder:
    """Read the result of ``vision.load``."""
    return attrs.evolve(known(Encoder, raw), raw=raw)


def rows_of(raw: Raw) -> ImageRows:
    """Read the result of ``vision.encode``."""
    return attrs.evolve(known(ImageRows, raw), image_embed=as_rows(raw["image_embed"]), raw=raw)


def unloaded_of(raw: Raw) -> EncoderUnloaded:
    """Read the result of ``vision.unload``."""
    return attrs.evolve(known(EncoderUnloaded, raw), raw=raw)
