"""The API keys of ``--api-key-file``."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from pathlib import Path

from rkllm_twisted.errors import StartupError

#: A line with a name: letters, digits, ``.``, ``_``, ``-`` and ``@``, then a colon.
_NAMED = re.compile(r"([\w.@-]+)\s*:\s*(\S+)", re.ASCII)
MIN_KEY_LENGTH = 8


def read_keys(path: str) -> Mapping[bytes, str]:
    """Read a file of keys: a key in each line, or ``name: key``; ``#`` begins a comment.

    :returns: the name of each key.
    :raises StartupError: the file cannot be read, has no key, or a line is wrong.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartupError(f"--api-key-file: {path}: {reason}.") from None
    keys: dict[bytes, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        match = _NAMED.fullmatch(content)
        name, key = (match[1], match[2]) if match else (f"key {len(keys) + 1}", content)
        problem = _problem(name, key, keys)
        if problem:
            raise StartupError(f"--api-key-file: {path}, line {number}: {problem}.")
        keys[key.encode()] = name
    if not keys:
        raise StartupError(f"--api-key-file: {path} has no key; write one in a line.")
    return keys


def _problem(name: str, key: str, keys: Mapping[bytes, str]) -> str | None:
    if not key.isascii() or not key.isprintable() or " " in key:
        return "a key has letters, digits and signs of ASCII, and no space"
    if len(key) < MIN_KEY_LENGTH:
        return f"the key is too short; it needs {MIN_KEY_LENGTH} characters"
    if key.encode() in keys or name in keys.values():
        return "this key, or its name, is there twice"
    return None


class KeyRing:
    """The keys that clients may use.

    :param path: the file; None if no key is needed.
    :raises StartupError: see :func:`read_keys`.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._keys: Mapping[bytes, str] = {}
        self.reload()

    @property
    def is_needed(self) -> bool:
        """True if a request needs a key."""
        return self._path is not None

    def reload(self) -> int:
        """Read the file again, and return how many keys it has.

        :raises StartupError: the file is wrong; the keys stay as they were.
        """
        if self._path is not None:
            self._keys = read_keys(self._path)
        return len(self._keys)

    def name_of(self, key: bytes) -> str | None:
        """Return the name of a key; None if it is wrong. Takes as long for each wrong key."""
        found = None
        for known, name in self._keys.items():
            if hmac.compare_digest(known, key):
                found = name
        return found
