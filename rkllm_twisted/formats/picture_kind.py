"""The kinds of pictures: which are read, and how a file of another kind is named."""

from __future__ import annotations

#: The kinds that are read, for sentences.
READ = "JPEG, PNG and WebP"
#: Where the bytes are by which a picture that is read is known: JPEG, PNG, WebP.
_PICTURES = ((0, b"\xff\xd8\xff"), (0, b"\x89PNG\r\n\x1a\n"), (8, b"WEBPVP8"))
#: Types in ``data:`` URIs that say nothing.
_UNKNOWN = ("", "application/octet-stream")
#: Types of pictures that are none of pixels, or that are never read.
_REFUSED = (
    *("image/svg+xml", "image/gif", "image/heic", "image/heif", "image/avif", "image/tiff"),
    *("image/bmp", "image/x-icon", "image/jxl", "image/jp2", "image/vnd.microsoft.icon"),
)
#: Where the bytes are, the bytes, and what such a file is.
_STARTS = (
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"\0\0\1\0", "an icon"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftyp", "a video"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\3\4", "a ZIP archive"),
)
#: The beginnings of texts, in lower case.
_TEXTS = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a page in HTML"),
    (b"<html", "a page in HTML"),
    (b"data:", "a data: URI"),
)
#: Bytes that are looked at for the beginning of a text.
_TEXT_BYTES = 1024


def is_refused(kind: str) -> bool:
    """True if a picture is refused by the type that a client gave it.

    A type may be wrong: a PNG that is called ``image/jpeg`` is read.

    :param kind: a media type, such as ``image/png``; empty if there is none.
    """
    kind = kind.lower()
    return kind in _REFUSED or not (kind in _UNKNOWN or kind.startswith("image/"))


def begins_well(data: bytes) -> bool:
    """True if a file begins as a picture that is read."""
    return any(data.startswith(start, at) for at, start in _PICTURES)


def name_of(data: bytes) -> str | None:
    """Return what a file is that is none of the pictures that are read; None if unknown."""
    for at, start, name in _STARTS:
        if data.startswith(start, at):
            return name
    text = data[:_TEXT_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "an SVG drawing"
    return next((name for start, name in _TEXTS if text.startswith(start)), None)
