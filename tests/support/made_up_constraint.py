"""A constraint without an engine: the answer is one of some texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.chat.token_table import TokenTable
from rkllm_twisted.constraint_interfaces import IConstraint, IConstraintEngine
from rkllm_twisted.structured.form import Form


@implementer(IConstraint)
class OneOf:
    """The answer is one of some texts, which no token may lead away from."""

    def __init__(
        self,
        table: TokenTable,
        texts: Sequence[bytes],
        pace: Callable[[], object] = lambda: None,
    ) -> None:
        self._table = table
        self._texts = texts
        self._pace = pace
        self.said = b""

    @property
    def stopped(self) -> bool:
        return self.accepting and not any(self._fits(one) for one in range(self._table.size))

    @property
    def accepting(self) -> bool:
        return self.said in self._texts

    def _fits(self, token: int) -> bool:
        if token in self._table.control:
            return False
        text = self.said + self._table.texts[token]
        return text != self.said and any(one.startswith(text) for one in self._texts)

    def _allowed(self) -> list[int]:
        ends = self._table.ends if self.accepting else ()
        return [*(one for one in range(self._table.size) if self._fits(one)), *ends]

    def fill(self, mask: bytearray) -> None:
        mask[:] = bytes(len(mask))
        for token in self._allowed():
            mask[token // 8] |= 1 << token % 8

    def consume(self, tokens: Sequence[int]) -> int:
        for number, token in enumerate(tokens):
            if not self._fits(token):
                return number
            self.said += self._table.texts[token]
        return len(tokens)

    def forced(self) -> Sequence[int]:
        """Whole texts only: those that no choice is left about."""
        self._pace()
        rest = [one[len(self.said) :] for one in self._texts if one.startswith(self.said)]
        if len(rest) != 1 or not rest[0]:
            return []
        return [*self._table.encode(rest[0].decode("utf-8", "ignore"))]


@implementer(IPlugin, IConstraintEngine)
@attrs.frozen
class MadeUp:
    """An engine that can do choices only.

    :param pace: called before each token.
    """

    name = "made up"
    kinds = frozenset({"choices"})
    lacks: str | None = None
    pace: Callable[[], object] = lambda: None

    def missing(self) -> str | None:
        return self.lacks

    def tokens(self, table: TokenTable) -> Any:
        return table

    def constrain(self, tokens: TokenTable, form: Form) -> IConstraint:
        return OneOf(tokens, [one.encode() for one in json.loads(form.text)], self.pace)
