"""What an encoder's tensors say: the size of its pictures, and its rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from rkllm_twisted.board.npu_checks import OLDEST_DRIVER
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.rknn.layouts import NCHW

#: The oldest librknnrt: files for it are made by rknn-toolkit2 2.x, whose format 1.x cannot read.
OLDEST_LIBRARY = (2, 0, 0)
_COLOURS_OF_A_PIXEL = 3


@attrs.frozen
class Tensor:
    """An input or an output.

    :param format: a number of ``rknn_tensor_format``.
    """

    shape: tuple[int, ...]
    format: int


@attrs.frozen
class EncoderShape:
    """The sizes of an encoder; see :class:`rkllm_twisted.vision_interfaces.IOpenedEncoder`."""

    width: int
    height: int
    tokens: int
    row_width: int
    outputs: int


def shape_of(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> EncoderShape:
    """Return the sizes that the tensors say.

    :raises InvalidParams: they are not those of a vision encoder.
    """
    width, height = _picture(inputs)
    rows = [_rows(tensor.shape) for tensor in outputs]
    if not rows or len(set(rows)) > 1:
        shapes = ", ".join(str(list(tensor.shape)) for tensor in outputs) or "none"
        raise _unusable(f"its outputs have different shapes ({shapes})")
    tokens, row_width = rows[0]
    return EncoderShape(width, height, tokens, row_width, len(rows))


def _picture(inputs: Sequence[Tensor]) -> tuple[int, int]:
    if len(inputs) != 1:
        raise _unusable(f"it has {len(inputs)} inputs, and a vision encoder for RKLLM has one")
    shape = inputs[0].shape
    if len(shape) == 4 and shape[0] == 1:
        _, *rest = shape
        colours, height, width = rest if inputs[0].format == NCHW else (rest[2], rest[0], rest[1])
        if colours == _COLOURS_OF_A_PIXEL and width and height:
            return width, height
    raise _unusable(f"its input has the shape {list(shape)}, not one picture of three colours")


def _rows(shape: Sequence[int]) -> tuple[int, int]:
    """Return the tokens and the width of the rows of an output."""
    kept = list(shape)
    while len(kept) > 2 and 1 in kept:
        kept.remove(1)
    if len(kept) == 1:
        kept.insert(0, 1)
    if len(kept) != 2 or not all(kept):
        raise _unusable(
            f"an output has the shape {list(shape)}, and not that of tokens and their rows; export"
            " the encoder with Rockchip's script for its family"
        )
    return kept[0], kept[1]


def _unusable(why: str) -> InvalidParams:
    return InvalidParams(f"path: the file is no vision encoder: {why}.", {"parameter": "path"})


def check_versions(library: str, driver: str) -> None:
    """Check that the library and the driver are new enough. What says no version is accepted.

    :param library: as ``rknn_sdk_version.api_version`` says it: ``2.3.2 (429f97ae6b@2025-…)``.
    :param driver: as ``drv_version`` says it: ``0.9.8``.
    :raises InvalidParams: one is too old.
    """
    for name, text, oldest, remedy in (
        ("librknnrt", library, OLDEST_LIBRARY, "update it from rknn-toolkit2"),
        ("the rknpu driver", driver, OLDEST_DRIVER, "update the kernel"),
    ):
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
        if found and tuple(map(int, found.groups())) < oldest:
            needed = ".".join(map(str, oldest))
            raise InvalidParams(
                f"{name} is {found[0]}, and vision encoders need {needed} or newer; {remedy}.",
                {"version": found[0], "needed": needed},
            )
