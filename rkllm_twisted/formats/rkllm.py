"""What can be seen of a .rkllm file from outside.

The format is the vendor's and not documented. Third parties report, and no board has confirmed it
yet: numbers lie as in a GGUF file of version 3 while the texts are masked, so that the first key,
``general.architecture``, is seen by its length of 20 only; and the file ends with the text
``rkllm-toolkit version: 1.3.1``, seen with 1.1.4 and 1.3.1. A file without these may be an RKLLM
model all the same, so that nothing is refused by them.
"""

from __future__ import annotations

import re
import struct

#: Bytes at the end that hold the toolkit's release.
TAIL_BYTES = 64
_RELEASE = re.compile(rb"rkllm-toolkit version: ([0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*)\W*$")
#: Magic, version, tensors, keys, the length of the first key.
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
    """The release of rkllm-toolkit that made a file, e.g. ``1.2.3``; None if it does not say."""
    found = _RELEASE.search(tail)
    return found.group(1).decode("ascii") if found else None
