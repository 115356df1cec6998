"""GGUF files of a few bytes, made by the format's specification."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

_LAYOUTS = {int: (4, "<I"), float: (6, "<f"), bool: (7, "<?")}


def text(value: str | bytes) -> bytes:
    """A text of GGUF: its length and its bytes."""
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: object) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        return struct.pack("<IIQ", 9, 4, len(value)) + struct.pack(f"<{len(value)}I", *value)
    kind, layout = _LAYOUTS[type(value)]
    return struct.pack("<I", kind) + struct.pack(layout, value)


def gguf_bytes(
    metadata: Mapping[str, object] | None = None,
    tensors: Sequence[tuple[str, Sequence[int], int]] = (("token_embd.weight", (4, 8), 0),),
    version: int = 3,
    data: int | None = None,
) -> bytes:
    """Make a file.

    :param tensors: name, dimensions, number of the type; all F32 (0) unless ``data`` is given.
    :param data: bytes behind the header; None: as many as the tensors have as F32.
    """
    metadata = {"general.architecture": "llama"} if metadata is None else metadata
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    out += b"".join(text(name) + _value(value) for name, value in metadata.items())
    offset = 0
    for name, dimensions, kind in tensors:
        out += text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        out += struct.pack("<IQ", kind, offset)
        numbers = 1
        for dimension in dimensions:
            numbers *= dimension
        offset += (4 * numbers + 31) // 32 * 32
    out += bytes(-len(out) % 32)
    return out + b"\1" * (offset if data is None else data)
