"""The bounds of pictures. What is larger is refused before it is decoded."""

from __future__ import annotations

#: Of an encoded picture, in bytes.
MAX_ENCODED_BYTES = 20_000_000
#: Of a decoded picture.
MAX_PIXELS = 50_000_000
#: Of a decoded picture's longer side, in pixels: the largest that JPEG can have.
MAX_SIDE = 65_535
#: The formats that are decoded, by Pillow's names.
FORMATS = ("JPEG", "PNG", "WEBP")
