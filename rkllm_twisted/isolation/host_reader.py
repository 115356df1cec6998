"""Reads what the host sends. Tokens, which are nearly all of it, are read together. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from rkllm_twisted.abi.image import Buffer
from rkllm_twisted.abi.result_copy import CallbackCopy, ResultCopy, TokenCopies
from rkllm_twisted.isolation.frames import (
    CALLBACK,
    MAX_ROWS,
    NO_TEXT,
    RETURN,
    ROW,
    TOKEN,
    BadFrame,
    FrameKind,
    FrameReader,
    ReturnFrame,
    frame_at,
)
from rkllm_twisted.values import RunState

#: The bytes of it that belong to the frame's body.
_IN_BODY = CALLBACK.size + ROW.size
#: The heads of tokens that are kept: most texts have one of a few lengths.
MAX_HEADS = 256

Received: TypeAlias = CallbackCopy | TokenCopies | ReturnFrame


class TokenFrames:
    """Reads tokens of one run that follow each other. A head that was seen is known by its bytes.

    :param structure_bytes: the size of an RKLLMResult.
    """

    def __init__(self, structure_bytes: int) -> None:
        self._structure = structure_bytes
        self._userdata = 0
        #: Head -> bytes of the text, all of one run.
        self._heads: dict[bytes, int] = {}

    def read(self, data: bytes, at: int) -> tuple[TokenCopies | None, int]:
        """Read the tokens from a place on.

        :returns: them, and the place of what is none, or is not complete.
        """
        structures: list[bytes] = []
        texts: list[bytes] = []
        size, end, length_of = self._structure, len(data), self._heads.get
        while at < end:
            begin = at + TOKEN.size
            head = data[at:begin]
            length = length_of(head)
            if length is None:
                length = self._look(head, bool(texts))
                if length is None:
                    break
            middle = begin + size
            stop = middle + length
            if stop > end:
                break
            structures.append(data[begin:middle])
            texts.append(data[middle:stop])
            at = stop
        return (TokenCopies(self._userdata, structures, texts) if texts else None), at

    def _look(self, head: bytes, is_same_run: bool) -> int | None:
        """Return the bytes of the text after a head; None if it is not one of a token.

        :param is_same_run: one of another run must not follow.
        """
        if len(head) < TOKEN.size:
            return None
        kind, zero, _, size, state, rows, userdata, text, hidden, logits = TOKEN.unpack(head)
        is_token = (kind, zero, state, rows) == (FrameKind.CALLBACK, 0, RunState.NORMAL, 1)
        if not is_token or hidden or logits or size != _IN_BODY + self._structure + text:
            return None
        if userdata != self._userdata:
            if is_same_run:
                return None
            self._userdata = userdata
            self._heads.clear()
        if len(self._heads) < MAX_HEADS:
            self._heads[head] = text
        return int(text)


class HostReader:
    """Reads what the host sends.

    :param structure_bytes: the size of an RKLLMResult.
    """

    def __init__(self, structure_bytes: int) -> None:
        self._frames = FrameReader()
        self._tokens = TokenFrames(structure_bytes)
        self._structure = structure_bytes

    def feed(self, data: Buffer) -> list[Received]:
        """Add bytes; return what is complete.

        :raises BadFrame: the bytes are no frames, or none of these.
        """
        received: list[Received] = []
        for whole in self._frames.join(data):
            self._feed(whole, received)
        return received

    def _feed(self, whole: Buffer, received: list[Received]) -> None:
        at = 0
        while at < len(whole):
            if isinstance(whole, bytes):
                tokens, at = self._tokens.read(whole, at)
                if tokens is not None:
                    received.append(tokens)
            found = frame_at(whole, at) if at < len(whole) else None
            if found is None:
                self._frames.keep(whole, at)
                return
            frame, at = found
            received.append(self._read(*frame))

    def _read(self, kind: int, number: int, body: Buffer) -> Received:
        try:
            if kind == FrameKind.CALLBACK:
                return self._callback(body)
            if kind == FrameKind.RETURN:
                status, has_handle = RETURN.unpack_from(body)
                return ReturnFrame(number, status, bool(has_handle), bytes(body[RETURN.size :]))
        except struct.error as error:
            raise BadFrame(str(error)) from None
        raise BadFrame(f"there is no kind {kind}")

    def _callback(self, body: Buffer) -> CallbackCopy:
        state, n_rows, userdata = CALLBACK.unpack_from(body)
        if n_rows > MAX_ROWS:
            raise BadFrame(f"{n_rows} rows")
        at = CALLBACK.size
        rows = []
        for _ in range(n_rows):
            text_bytes, *array_bytes = ROW.unpack_from(body, at)
            at += ROW.size
            has_text = text_bytes != NO_TEXT
            sizes = (self._structure, text_bytes if has_text else 0, *array_bytes)
            if at + sum(sizes) > len(body):
                raise BadFrame("a row is longer than its frame")
            parts = list(_cut(body, at, sizes))
            at += sum(sizes)
            text = parts[1] if has_text else None
            rows.append(ResultCopy(parts[0], text, (parts[2], parts[3])))
        if at != len(body):
            raise BadFrame("a frame is longer than its rows")
        return CallbackCopy(userdata, state, tuple(rows))


def _cut(data: Buffer, at: int, sizes: Sequence[int]) -> Iterator[bytes]:
    for size in sizes:
        yield bytes(data[at : at + size])
        at += size


def one_by_one(received: Sequence[Received]) -> Iterator[CallbackCopy | ReturnFrame]:
    """Yield what was received in order, each token by itself."""
    for one in received:
        if isinstance(one, TokenCopies):
            yield from one.copies()
        else:
            yield one
