"""Recognises .rkllm files, and finds the toolkit's release in them.

The vendor's format is not documented. Third parties report the following; no board has confirmed it
yet. Numbers lie as in a GGUF file of version 3, and the texts are masked, so only the length of 20
shows the first key, ``general.architecture``. The file ends with a text such as ``rkllm-toolkit
version: 1.3.1``, seen with 1.1.4 and 1.3.1. A file without these may still be an RKLLM model,
so the lack of them refuses no file.
"""

from __future__ import annotations

import re
import struct

#: The bytes at the end that hold the toolkit's release.
TAIL_BYTES = 64
_RELEASE = re.compile(rb"rkllm-toolkit version: ([0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*)\W*$")
#: Magic, version, count of tensors, count of keys, length of the first key.
_START = struct.Struct("<4sIQQQ")
_FIRST_KEY_BYTES = len("general.architecture")
_TENSORS, _KEYS = range(1, 1 << 20), range(1, 1 << 16)


def looks_like_rkllm(head: bytes) -> bool:
    """True if the first bytes are like those of known .rkllm files."""
    if len(head) < _START.size:
        return False
    magic, version, tensors, keys, first = _START.unpack_from(head)
    if magic == b"GGUF" or version != 3 or first != _FIRST_KEY_BYTES:
        return False
    return tensors in _TENSORS and keys in _KEYS


def toolkit_release(tail: bytes) -> str | None:
    """Return the release of rkllm-toolkit that made a file, e.g. ``1.2.3``; None if unknown."""
    found = _RELEASE.search(tail)
    return found.group(1).decode("ascii") if found else None
