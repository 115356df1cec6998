"""Caches facts about the content of files until the content changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from rkllm_twisted.errors import Cancelled, InvalidParams
from rkllm_twisted.formats.file_kind import FileKind, file_kind
from rkllm_twisted.models.directories import FileIdentity, ModelFile

#: The bytes between two checks for a cancellation: some milliseconds of work.
DIGEST_CHUNK_BYTES = 1 << 22
#: The most facts to keep; the oldest is dropped first.
MAX_FACTS = 4096

_Fact = TypeVar("_Fact")


class FileCache:
    """Facts about files, by :class:`FileIdentity`. It is in memory, and any thread may use it."""

    def __init__(self) -> None:
        self._facts: dict[tuple[FileIdentity, object], Any] = {}

    def fact(self, file: ModelFile, find: Callable[[ModelFile], _Fact]) -> _Fact:
        """Return what a function finds in a file. Call the function only for new content.

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
        """Return the digest of a content if it is known; else None."""
        known: str | None = self._facts.get((identity, _DIGEST))
        return known

    def digest(self, file: ModelFile, is_cancelled: Callable[[], bool] = lambda: False) -> str:
        """Return the SHA-256 of a file in hexadecimal. The first call reads the whole file.

        :param is_cancelled: called every few megabytes.
        :raises Cancelled: ``is_cancelled`` returned True.
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
