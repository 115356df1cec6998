"""Pictures are decoded as viewers show them, within bounds, and refused by a sentence."""

from __future__ import annotations

import struct
import zlib

import pytest
from pictures import Image, encoded, picture

from rkllm_twisted.vision.decode import PictureError, decode
from rkllm_twisted.vision.limits import MAX_ENCODED_BYTES

ORIENTATION = 0x0112
#: EXIF orientation -> the corner of the stored picture that is the upper left one when shown.
CORNERS = {
    1: (0, 0),
    2: (-1, 0),
    3: (-1, -1),
    4: (0, -1),
    5: (0, 0),
    6: (0, -1),
    7: (-1, -1),
    8: (-1, 0),
}


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header promises a size, with no pixels behind it."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_of_each_format_is_decoded(form: str) -> None:
    image = decode(picture(6, 4, (250, 10, 10), form))
    assert (image.mode, image.size) == ("RGB", (6, 4))
    red, green, blue = image.getpixel((3, 2))
    assert red > 240
    assert green < 20
    assert blue < 20


@pytest.mark.parametrize(
    ("form", "name"),
    [("GIF", "a GIF picture"), ("BMP", "a BMP picture"), ("TIFF", "a TIFF"), ("ICO", "an icon")],
)
def test_other_formats_are_refused_by_name(form: str, name: str) -> None:
    with pytest.raises(PictureError, match=f"^is {name}.*, and only JPEG, PNG and WebP pictures"):
        decode(picture(16, 16, form=form))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x1cftypheic\0\0\0\0", "a HEIC picture"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF picture"),
        (b"\0\0\0\x1cftypisom\0\0\0\0", "a video"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -->\n<svg/>', "an SVG drawing"),
        (b"\n<!DOCTYPE html><html>", "a page in HTML"),
        (b"data:image/png;base64,AAAA", "a data: URI"),
        (b"PK\3\4", "a ZIP archive"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, name: str) -> None:
    with pytest.raises(PictureError, match=f"^is {name}, and only JPEG, PNG and WebP pictures"):
        decode(data)


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_its_exif_orientation_says(orientation: int, form: str) -> None:
    image = Image.new("L", (32, 16), 0)
    x, y = CORNERS[orientation]
    image.paste(
        255, (0 if x == 0 else 24, 0 if y == 0 else 8, 8 if x == 0 else 32, 8 if y == 0 else 16)
    )
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    shown = decode(encoded(image.convert("RGB"), form, exif=exif))
    assert shown.size == ((32, 16) if orientation < 5 else (16, 32))
    assert shown.getpixel((1, 1))[0] > 200
    assert shown.getpixel((shown.width - 2, shown.height - 2))[0] < 60


def test_an_orientation_that_does_not_exist_does_not_matter() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    assert decode(encoded(Image.new("RGB", (4, 6)), "JPEG", exif=exif)).size == (4, 6)


def test_transparent_parts_are_white() -> None:
    assert decode(picture(2, 2, (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert decode(picture(2, 2, (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    image = Image.new("P", (2, 2), 0)
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.putpixel((1, 0), 1)
    shown = decode(encoded(image, transparency=0))
    assert [shown.getpixel((0, 0)), shown.getpixel((1, 0))] == [(255, 255, 255), (200, 0, 0)]


def test_grey_of_16_bits_is_brought_to_8() -> None:
    image = Image.new("I;16", (2, 1), 0x8080)
    assert decode(encoded(image)).getpixel((0, 0)) == (128, 128, 128)


def test_cmyk_is_decoded() -> None:
    image = decode(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"))
    assert image.getpixel((4, 4)) == (255, 255, 255)


def test_a_truncated_picture_is_refused() -> None:
    data = encoded(Image.effect_noise((64, 64), 90).convert("RGB"), "JPEG")
    with pytest.raises(PictureError, match="^is damaged"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("length", [20, 1000])
def test_what_is_left_of_a_picture_is_damaged(form: str, length: int) -> None:
    data = encoded(Image.effect_noise((64, 64), 90).convert("RGB"), form)
    with pytest.raises(PictureError, match="^is damaged"):
        decode(data[:length])


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"words", b"RIFF\x24\0\0\0WAVEfmt "])
def test_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError, match="is empty|is no JPEG"):
        decode(data)


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(PictureError, match="has 20000001 bytes, and at most 20000000 are read"):
        decode(bytes(MAX_ENCODED_BYTES + 1))


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 5_001), (65_536, 1), (2**31 - 1, 2**31 - 1)]
)
def test_too_many_pixels_are_refused_before_they_are_decoded(width: int, height: int) -> None:
    with pytest.raises(PictureError, match=f"has {width} x {height} pixels, and at most"):
        decode(png_header(width, height))
