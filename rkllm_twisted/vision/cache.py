"""Keeps the rows of pictures: a conversation sends its pictures with each turn."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar

#: Bytes of rows that are kept. A picture has 1.6 MB and more (196 rows of 2048 floats).
KEPT_BYTES = 32 * 1024 * 1024

Kept = TypeVar("Kept")


def picture_key(encoder: str, pixels: bytes, *options: str) -> bytes:
    """Return the key of a picture's rows.

    :param encoder: a text that only this encoder's file has, as it is now.
    :param pixels: the encoder's input, or the encoded picture that it is made of.
    :param options: what else the rows depend on, such as fit and resample.
    """
    digest = hashlib.sha256()
    for part in (encoder.encode(), *(option.encode() for option in options), pixels):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


class RowCache(Generic[Kept]):
    """Kept by key. If they are too many, those that were used longest ago are dropped.

    :param limit: bytes that are kept in all.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, tuple[Kept, int]] = OrderedDict()
        self.size = 0

    def get(self, key: bytes) -> Kept | None:
        """Return rows; None if they are not kept."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: bytes, rows: Kept, size: int) -> None:
        """Keep rows, unless they alone are more than the limit.

        :param size: in bytes.
        """
        if key in self._kept:
            self.size -= self._kept.pop(key)[1]
        if size > self._limit:
            return
        self._kept[key] = (rows, size)
        self.size += size
        while self.size > self._limit:
            self.size -= self._kept.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Drop all."""
        self._kept.clear()
        self.size = 0
