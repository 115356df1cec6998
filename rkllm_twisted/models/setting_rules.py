"""Checks the keys of ``rkllm.toml`` that are no fields of rkllm.h.

A check returns the value as :class:`~rkllm_twisted.models.settings.ModelSettings` has it, or raises
InvalidParams in the form of the errors of an rkllm.init.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import attrs

from rkllm_twisted.abi.scalars import kind_of, param_error, to_float, to_int, to_string
from rkllm_twisted.chat.embeddings import POOLINGS
from rkllm_twisted.chat.families import ImageMarks, InfillMarks
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.models.names import is_usable

#: The purpose of a model -> the abilities that it implies.
KINDS: Mapping[str, tuple[str, ...]] = {
    "chat": ("completion",),
    "vision": ("completion", "vision"),
    "embedding": ("embedding",),
    "rerank": ("rerank",),
}
#: All abilities of models: the names of Ollama (its ``/api/show``), and ``rerank``.
CAPABILITIES = ("completion", "tools", "thinking", "vision", "insert", "embedding", "rerank")
#: The most end tokens; models have up to ten.
MAX_END_TOKENS = 64
MAX_ALIASES = 64
MAX_ADAPTERS = 64


@attrs.frozen
class AdapterFile:
    """A LoRA adapter beside a model, which is loaded with it.

    :param file: the file's name.
    :param scale: how much it changes the model; 1.0 is what it was trained for.
    """

    file: str
    scale: float = 1.0


def _one_of(names: Collection[str], key: str, value: object) -> str:
    if isinstance(value, str) and value in names:
        return value
    shown = repr(value) if isinstance(value, str) and len(value) < 100 else kind_of(value)
    raise param_error(key, f"must be one of {', '.join(names)}, not {shown}")


def _several(key: str, value: object, most: int) -> list[object]:
    if not isinstance(value, list):
        raise param_error(key, f"must be an array, not {kind_of(value)}")
    if len(value) > most:
        raise param_error(key, f"has {len(value)} elements; {most} are the limit")
    return value


def _text(key: str, value: object) -> str:
    text = to_string(key, value).decode("utf-8")
    if not text:
        raise param_error(key, "is empty")
    return text


def _aliases(key: str, value: object) -> tuple[str, ...]:
    names = [_text(f"{key}[{n}]", item) for n, item in enumerate(_several(key, value, MAX_ALIASES))]
    for number, name in enumerate(names):
        if not is_usable(name):
            raise param_error(f"{key}[{number}]", "is no name that a request could have")
    return tuple(names)


def _capabilities(key: str, value: object) -> tuple[str, ...]:
    items = enumerate(_several(key, value, len(CAPABILITIES)))
    return tuple(_one_of(CAPABILITIES, f"{key}[{number}]", item) for number, item in items)


def _end_token(key: str, value: object) -> int | str:
    if isinstance(value, str):
        return _text(key, value)
    token = to_int(key, value, "int32_t")
    if token < 0:
        raise param_error(key, "is below 0, and tokens count from 0")
    return token


def _end_tokens(key: str, value: object) -> tuple[int | str, ...]:
    items = enumerate(_several(key, value, MAX_END_TOKENS))
    return tuple(_end_token(f"{key}[{number}]", item) for number, item in items)


def _file_name(key: str, value: object) -> str:
    name = _text(key, value)
    if "/" in name or name in (".", ".."):
        raise param_error(key, "must be the name of a file beside the model, without a folder")
    return name


def _adapters(key: str, value: object) -> Mapping[str, AdapterFile]:
    if not isinstance(value, Mapping) or len(value) > MAX_ADAPTERS:
        raise param_error(key, f"must be a table of at most {MAX_ADAPTERS} tables, by name")
    return {_text(key, name): _adapter(f"{key}.{name}", one) for name, one in value.items()}


def _adapter(key: str, value: object) -> AdapterFile:
    parts = {"file", "scale"}
    if not isinstance(value, Mapping) or not {"file"} <= set(value) <= parts:
        raise param_error(key, "must be a table with file, and perhaps scale")
    file = _file_name(f"{key}.file", value["file"])
    return AdapterFile(file, to_float(f"{key}.scale", value.get("scale", 1.0)))


def _infill(key: str, value: object) -> InfillMarks:
    parts = {"prefix", "suffix", "middle", "suffix_first"}
    if not isinstance(value, Mapping) or not {"prefix", "suffix"} <= set(value) <= parts:
        raise param_error(
            key, "must be a table with prefix and suffix, and perhaps middle and suffix_first"
        )
    first = value.get("suffix_first", False)
    if not isinstance(first, bool):
        raise param_error(f"{key}.suffix_first", f"must be true or false, not {kind_of(first)}")
    prefix, suffix = (_text(f"{key}.{part}", value[part]) for part in ("prefix", "suffix"))
    middle = _text(f"{key}.middle", value["middle"]) if "middle" in value else ""
    return InfillMarks(prefix, suffix, middle, first)


def _image(key: str, value: object) -> ImageMarks:
    parts = ("start", "content", "end")
    if not isinstance(value, Mapping) or not value or not set(value) <= set(parts):
        raise param_error(key, f"must be a table with {', '.join(parts)}")
    texts = (to_string(f"{key}.{part}", value.get(part, "")) for part in parts)
    return ImageMarks(*(text.decode("utf-8") for text in texts))


CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "kind": lambda key, value: _one_of(KINDS, key, value),
    "family": lambda key, value: _one_of([row.name for row in FAMILIES], key, value),
    "template": _file_name,
    "aliases": _aliases,
    "capabilities": _capabilities,
    "pooling": lambda key, value: _one_of(POOLINGS, key, value),
    "end_tokens": _end_tokens,
    "adapters": _adapters,
    "infill": _infill,
    "image": _image,
    "base_domain_id": lambda key, value: to_int(key, value, "int32_t"),
}
