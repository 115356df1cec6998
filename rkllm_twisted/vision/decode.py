"""Decodes a picture: JPEG, PNG or WebP, to upright RGB."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.formats.picture_kind import READ, begins_well, name_of
from rkllm_twisted.vision.limits import FORMATS, MAX_ENCODED_BYTES, MAX_PIXELS, MAX_SIDE

if TYPE_CHECKING:
    from PIL import Image

#: Below transparent parts, as viewers of pictures show them.
BACKGROUND = (255, 255, 255)


class PictureError(ValueError):
    """A picture that cannot be used. The text is a sentence about "it", without a full stop."""


def decode(data: bytes) -> Image.Image:
    """Return a picture as RGB. It is turned as its EXIF orientation says.

    Transparent parts are laid over white. Of an animation, the first picture is taken.

    :param data: the encoded picture.
    :raises PictureError: it is too large, of another format, or damaged.
    :raises ExtraMissingError: Pillow is not installed.
    """
    check_bytes(len(data))
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415  # an extra
    except ImportError:
        raise ExtraMissingError.of("Pillow", "read pictures", "vision") from None
    Image.MAX_IMAGE_PIXELS = None  # what follows checks the size, with a sentence
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:  # noqa: BLE001  # a decoder may raise anything for a damaged header
        name = name_of(data)
        if name is not None:
            raise PictureError(f"is {name}, and only {READ} pictures are read") from None
        if begins_well(data):
            raise PictureError("is damaged, or the rest of it is missing") from None
        raise PictureError("is no JPEG, PNG or WebP picture that can be read") from None
    check_size(*image.size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata
            image.load()
            upright: Image.Image = image
            with contextlib.suppress(Exception):  # damaged metadata, sound pixels
                upright = ImageOps.exif_transpose(image)
            return _as_rgb(upright)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # the same
        raise PictureError(f"is damaged: {error}".rstrip(".")) from None


def check_bytes(length: int) -> None:
    """Check the length of an encoded picture.

    :raises PictureError: it is empty or too long.
    """
    if not length:
        raise PictureError("is empty")
    if length > MAX_ENCODED_BYTES:
        raise PictureError(
            f"has {length} bytes, and at most {MAX_ENCODED_BYTES} are read; send a smaller one"
        )


def check_size(width: int, height: int) -> None:
    """Check the size of a picture, in pixels.

    :raises PictureError: it is too large.
    """
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise PictureError(
            f"has {width} x {height} pixels, and at most {MAX_PIXELS} are read, {MAX_SIDE} on a"
            " side; send a smaller one"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image  # noqa: PLC0415

    if image.mode.startswith("I"):  # 16 bits of grey, which a plain conversion would cut at 255
        return image.convert("I").point(lambda level: level / 257).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        front = image.convert("RGBA")
        behind = Image.new("RGBA", front.size, (*BACKGROUND, 255))
        return Image.alpha_composite(behind, front).convert("RGB")
    return image.convert("RGB")
