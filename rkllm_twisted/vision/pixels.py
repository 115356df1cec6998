"""From a decoded picture to the pixels that an encoder takes.

The encoder's file normalises by itself; its input is RGB of 8 bits, row by row. Rockchip's
demonstration (rknn-llm 1.3.0, examples/multimodal_model_demo) centres the picture on a grey square
and resizes the square by OpenCV's bilinear formula, which does not average. Pillow's affine
transform has the same formula.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from rkllm_twisted.vision.decode import decode

if TYPE_CHECKING:
    from PIL import Image

#: The grey around a picture: 127.5 in the demonstration, which OpenCV rounds to even.
GREY = (128, 128, 128)


class Fit(str, Enum):
    """The ways to bring a picture to an encoder's proportions."""

    #: Around the centred picture, a square is filled with grey. Of Rockchip's demonstration.
    PAD = "pad"
    #: The picture is stretched. Of Gemma 3.
    STRETCH = "stretch"


class Resample(str, Enum):
    """The ways to resize a picture."""

    #: Bilinear without averaging, as Rockchip's demonstration.
    VENDOR = "vendor"
    #: Bicubic with averaging, nearer to how models are trained.
    SMOOTH = "smooth"


@attrs.frozen
class Preparation:
    """What an encoder needs.

    :param width: of its input, in pixels.
    :param height: of its input, in pixels.
    """

    width: int
    height: int
    fit: Fit = Fit.PAD
    resample: Resample = Resample.VENDOR


def prepared(data: bytes, preparation: Preparation) -> bytes:
    """Return the pixels of an encoded picture: height x width x 3 bytes.

    :raises PictureError: see :func:`.decode.decode`.
    :raises ExtraMissingError: Pillow is not installed.
    """
    made = _WAYS[preparation.resample](decode(data), preparation)
    pixels: bytes = made.tobytes()
    return pixels


def _by_formula(image: Image.Image, to: Preparation) -> Image.Image:
    """Resize by OpenCV's bilinear formula: pixel x of the result is taken at (x + 0.5) * scale."""
    from PIL import Image  # noqa: PLC0415

    width, height = image.size
    square = max(width, height)
    if to.fit is Fit.PAD and width != height:
        left, top = (square - width) // 2, (square - height) // 2
        source = _edged(image, left, top, square)
        x_scale, y_scale = square / to.width, square / to.height
        shift = (min(left, 1) - left, min(top, 1) - top)
    else:
        source, shift = image, (0, 0)
        x_scale, y_scale = width / to.width, height / to.height
    made: Image.Image = source.transform(
        (to.width, to.height),
        Image.Transform.AFFINE,
        (x_scale, 0, shift[0], 0, y_scale, shift[1]),
        Image.Resampling.BILINEAR,
        fillcolor=GREY,
    )
    return made


def _edged(image: Image.Image, left: int, top: int, square: int) -> Image.Image:
    """Return a picture with one grey pixel where the square has grey.

    The whole square of a long and thin picture would have billions of pixels. The pixels further
    out are the transform's ``fillcolor``.
    """
    from PIL import Image  # noqa: PLC0415

    width, height = image.size
    before = (min(left, 1), min(top, 1))
    behind = (min(square - width - left, 1), min(square - height - top, 1))
    size = (before[0] + width + behind[0], before[1] + height + behind[1])
    edged = Image.new("RGB", size, GREY)
    edged.paste(image, before)
    return edged


def _smoothly(image: Image.Image, to: Preparation) -> Image.Image:
    from PIL import Image  # noqa: PLC0415

    if to.fit is Fit.STRETCH:
        return image.resize((to.width, to.height), Image.Resampling.BICUBIC)
    square = max(image.size)
    width = max(1, round(image.width * to.width / square))
    height = max(1, round(image.height * to.height / square))
    made = Image.new("RGB", (to.width, to.height), GREY)
    inner = image.resize((width, height), Image.Resampling.BICUBIC)
    made.paste(inner, ((to.width - width) // 2, (to.height - height) // 2))
    return made


_WAYS: dict[Resample, Callable[[Image.Image, Preparation], Image.Image]] = {
    Resample.VENDOR: _by_formula,
    Resample.SMOOTH: _smoothly,
}
