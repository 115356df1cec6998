"""Reads the text of the chat template beside a model."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rkllm_twisted.models.directories import ModelFile

#: The largest file in bytes. Templates have up to 20 KB, a tokenizer_config.json with many tokens
#: a few MB.
MAX_TEMPLATE_BYTES = 1 << 20
MAX_CONFIG_BYTES = 1 << 24


def template_in_file(file: ModelFile) -> str:
    """Return the text of a template's file.

    :raises ValueError: the file is no text, or too long.
    """
    if file.identity.size > MAX_TEMPLATE_BYTES:
        raise ValueError(f"is larger than {MAX_TEMPLATE_BYTES} bytes")
    try:
        return file.read(0, MAX_TEMPLATE_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def template_in_config(file: ModelFile) -> str | None:
    """Return the ``chat_template`` of a ``tokenizer_config.json``; the default one of several.

    :raises ValueError: the file is no JSON object, or too long.
    """
    if file.identity.size > MAX_CONFIG_BYTES:
        raise ValueError(f"is larger than {MAX_CONFIG_BYTES} bytes")
    config = json_object(file.read(0, MAX_CONFIG_BYTES))
    template = config.get("chat_template")
    if isinstance(template, list):
        template = next(
            (
                each.get("template")
                for each in template
                if isinstance(each, Mapping) and each.get("name") == "default"
            ),
            None,
        )
    return template if isinstance(template, str) else None


def json_object(data: bytes) -> Mapping[str, object]:
    """Decode the content of a file that holds a JSON object.

    :raises ValueError: it is none.
    """
    try:
        return msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("is not a JSON object") from None
