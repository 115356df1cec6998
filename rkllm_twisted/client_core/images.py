"""Images for the messages of ``chat``."""

from __future__ import annotations

import base64
import os
from pathlib import Path

#: The beginnings of the formats that the daemon reads -> their types.
_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"RIFF", "image/webp"),
)


def image_part(image: bytes | str | os.PathLike[str]) -> dict[str, object]:
    """Return an image as a part of a user's message.

    The image itself goes to the daemon, so the daemon need not be able to read its file. ::

        content = [image_part("photo.jpg"), {"type": "text", "text": "What is this?"}]
        client.chat([{"role": "user", "content": content}])

    :param image: a JPEG, PNG or WebP picture of at most 20 MB: its bytes, or the name of its file.
    :raises OSError: the file cannot be read.
    :raises ValueError: it is no such picture.
    """
    data = image if isinstance(image, bytes) else Path(image).read_bytes()
    kind = next((kind for start, kind in _KINDS if data.startswith(start)), None)
    if kind is None:
        name = "The image" if isinstance(image, bytes) else os.fspath(image)
        raise ValueError(f"{name} is no JPEG, PNG or WebP picture.")
    url = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url}}
