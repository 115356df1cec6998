"""A token's result as the JSON text that its client gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from rkllm_twisted.values import RunState

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class EncodedResult(Mapping[str, Any]):
    """A partial result in state NORMAL, without arrays and with one row.

    There is one for each token, and most are only passed on: the members are read from the text
    when the first one is asked for.

    :param json: the text. It is the same in each form of float arrays.
    """

    __slots__ = ("_members", "json")

    def __init__(self, json: bytes) -> None:
        self.json = json
        self._members: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if name == "_callback_state":
            return RunState.NORMAL
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"EncodedResult({self.json!r})"

    def _read(self) -> dict[str, Any]:
        if self._members is None:
            self._members = _decode(self.json)
        return self._members


#: The types of results that are nothing but tokens.
ONLY_TOKENS = {EncodedResult}
