"""What was found out of a file's content, kept until the content changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from rkllm_twisted.errors import Cancelled, InvalidParams
from rkllm_twisted.formats.file_kind import FileKind, file_kind
from rkllm_twisted.models.directories import FileIdentity, ModelFile

#: Bytes between two looks at whether a digest is still wanted: some milliseconds' work.
DIGEST_CHUNK_BYTES = 1 << 22
#: Facts that are kept; the oldest goes first.
MAX_FACTS = 4096

_Fact = TypeVar("_Fact")


class FileCache:
    """Facts of files, by :class:`FileIdentity`. In memory only, and in any thread."""

    def __init__(self) -> None:
        self._facts: dict[tuple[FileIdentity, object], Any] = {}

    def fact(self, file: ModelFile, find: Callable[[ModelFile], _Fact]) -> _Fact:
        """Return what a function finds in a file. It is called only for new content.

        :param find: a function at the top of a module: it is part of the key.
        """
        key = (file.identity, find)
        if key in self._facts:
            known: _Fact = self._facts[key]
            return known
        return self._keep(key, find(file))

    def kind(self, file: ModelFile) -> FileKind:
        """Return the kind of a file."""
        return self.fact(file, _kind)

    def known_digest(self, identity: FileIdentity) -> str | None:
        """The digest of a content, if it was asked for before."""
        known: str | None = self._facts.get((identity, _DIGEST))
        return known

    def digest(self, file: ModelFile, is_cancelled: Callable[[], bool] = lambda: False) -> str:
        """SHA-256 of a file in hexadecimal. Reads all of it, the first time.

        :param is_cancelled: asked after each few megabytes.
        :raises Cancelled: it said True.
        :raises InvalidParams: the file changed meanwhile.
        """
        known = self.known_digest(file.identity)
        if known is not None:
            return known
        digest = hashlib.sha256()
        for offset in range(0, file.identity.size, DIGEST_CHUNK_BYTES):
            if is_cancelled():
                raise Cancelled("The digest of the model's file is not wanted any more.")
            digest.update(file.read(offset, DIGEST_CHUNK_BYTES))
        if not file.is_unchanged():
            raise InvalidParams(
                "The model's file is being written; ask again when it is complete.",
                {"parameter": "model"},
            )
        return self._keep((file.identity, _DIGEST), digest.hexdigest())

    def _keep(self, key: tuple[FileIdentity, object], fact: _Fact) -> _Fact:
        self._facts[key] = fact
        while len(self._facts) > MAX_FACTS:
            self._facts.pop(next(iter(self._facts)), None)
        return fact


_DIGEST = "sha256"


def _kind(file: ModelFile) -> FileKind:
    return file_kind(file.read, file.identity.size)
