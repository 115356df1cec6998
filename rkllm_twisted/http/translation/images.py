"""Images in requests to parts of the messages of ``chat.complete``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rkllm_twisted.chat.messages import shown
from rkllm_twisted.http.translation.reading import wrong

Part = dict[str, Any]
_DATA = "data:"
#: What to send in place of an address or the name of a file.
IN_ITSELF = "send the image itself, in base64; nothing is fetched"


def image_part(url: str) -> Part:
    """Return the part for a ``data:`` URI."""
    return {"type": "image_url", "image_url": {"url": url}}


def base64_part(data: object, place: str, kind: str = "") -> Part:
    """Return the part for an image in base64. The daemon decodes it.

    :param kind: its type, such as ``image/png``. The daemon looks at the image itself.
    :raises HTTPError: it is no text.
    """
    if not isinstance(data, str) or not data or "://" in data[:20]:
        raise wrong(place, f"must be an image in base64, not {shown(data)}; nothing is fetched")
    return image_part(data if data.startswith(_DATA) else f"data:{kind};base64,{data}")


def uri_part(url: object, place: str) -> Part:
    """Return the part for a URL, which must be a ``data:`` URI.

    :raises HTTPError: it is another.
    """
    if not isinstance(url, str) or not url.startswith(_DATA):
        raise wrong(place, f"must be a data: URI; {IN_ITSELF}")
    return image_part(url)


def content_of(parts: Sequence[Part]) -> str | list[Part]:
    """Return the content of a message: one text if no part is an image."""
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return [*parts]


def refuse_files(messages: object) -> None:
    """Refuse images by the name of a file: clients of the network name no files of the daemon.

    :param messages: in OpenAI's form; the daemon checks the rest.
    :raises HTTPError: a part names a file.
    """
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for index, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("type") == "image":
                place = f"messages[{number}].content[{index}].type"
                raise wrong(place, f'must be "image_url" for an image; {IN_ITSELF}')
