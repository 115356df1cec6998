"""Encodes the RKLLMResult of a token: the JSON of what has not changed is used again.

From token to token of a run only the text and the token's number change. The other fields of the
structure are compared as bytes, and converted only if they differ.
"""

from __future__ import annotations

import struct as packing
from collections.abc import Iterator, Sequence
from operator import attrgetter

import msgspec

from rkllm_twisted.abi.from_c import to_json
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.release import Member, Release
from rkllm_twisted.values import RunState
from rkllm_twisted.wire.encoded_result import EncodedResult
from rkllm_twisted.wire.encoding import encode

RESULT = "RKLLMResult"
#: The fields that change from token to token: the first ones of the structure in every release.
CHANGING = ("text", "token_id")
_INT32 = packing.Struct("=i")

_text = msgspec.json.Encoder().encode


class ResultEncoder:
    """Encodes results in state NORMAL that have one row and no arrays.

    For the same arguments :meth:`encode` returns the same text, whatever it has encoded before.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._class: CData = layout.structs[RESULT]
        changing, constant = _divided(layout.release)
        self._token_id = changing[-1].offset
        # Without the padding before and after it, which may hold anything.
        self._begin, self._end = constant[0].offset, constant[-1].offset + constant[-1].size
        self._arrays = [attrgetter(path) for path in _pointers(layout.release, constant)]
        self._constant: bytes | None = None
        self._rest = b""

    def encode_all(
        self, structures: Sequence[bytes], texts: Sequence[str | None]
    ) -> list[EncodedResult] | None:
        """Encode results that follow each other; None if one has arrays. See :meth:`encode`."""
        begin, end, at, token_ids_at = self._begin, self._end, self._token_id, _INT32.unpack_from
        constant, rest = self._constant, self._rest
        results: list[EncodedResult] = []
        for structure, text in zip(structures, texts, strict=True):
            if structure[begin:end] != constant:
                made = self._encode_rest(structure)
                if made is None:
                    return None
                constant = self._constant = structure[begin:end]
                rest = self._rest = made
            token = _text(text), *token_ids_at(structure, at), rest
            results.append(EncodedResult(b'{"text":%b,"token_id":%d,%b' % token))
        return results

    def encode(self, structure: bytes, text: str | None) -> EncodedResult | None:
        """Encode a result. Pure: no pointer is followed.

        :param structure: its bytes.
        :param text: its text, decoded.
        :returns: None for a result with arrays: it must be converted while C's memory is valid.
        """
        results = self.encode_all((structure,), (text,))
        return None if results is None else results[0]

    def has_arrays(self, result: CData) -> bool:
        """True if an RKLLMResult points to hidden states or logits."""
        return any(array(result) for array in self._arrays)

    def _encode_rest(self, structure: bytes) -> bytes | None:
        result = self._class.from_buffer_copy(structure)
        if self.has_arrays(result):
            return None
        result.text = None
        members = {**to_json(self._layout, result), "_callback_state": int(RunState.NORMAL)}
        return encode({name: members[name] for name in members if name not in CHANGING})[1:]


def _divided(release: Release) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """Divide the fields into the changing ones, which must be the first, and the others."""
    members = release.structs[RESULT].members
    changing, constant = members[: len(CHANGING)], members[len(CHANGING) :]
    assert tuple(member.name for member in changing) == CHANGING, release.name
    return changing, constant


def _pointers(release: Release, members: tuple[Member, ...], place: str = "") -> Iterator[str]:
    """Yield the paths of the fields that point to something."""
    for member in members:
        path, sort = f"{place}{member.name}", release.sort_of(member.type)
        assert sort != "string", f"{path} of {release.name} may change without its pointer"
        if sort == "structure":
            inner = release.structs[member.type.base].members
            yield from _pointers(release, inner, f"{path}.")
        elif sort in ("numbers", "pointer"):
            yield path
