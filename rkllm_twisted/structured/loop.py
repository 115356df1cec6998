"""Makes an answer that keeps to a form: a row of logits, a mask, a token, and again.

Tokens that the form leaves no choice about are not chosen one by one: they go into the next run
together. Pure but for the function that makes the runs.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs

from rkllm_twisted.chat.token_table import TokenTable
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.structured.picker import PENALTY_WINDOW, NothingAllowedError, Picker

if TYPE_CHECKING:
    from rkllm_twisted.structured.picker import Row

#: Reads tokens, and returns the row of logits behind the last one.
ReadRow = Callable[[Sequence[int]], "Row"]


@attrs.define
class StructuredAnswer:
    """An answer in the making, and its end.

    :ivar tokens: all its tokens, without the one that ends it.
    :ivar read: how many of them the cache holds.
    :ivar text: their text.
    :ivar reason: why it ended: ``stop``, ``length``, or ``cancelled`` if a run was aborted.
    :ivar runs: how many rows of logits it has taken.
    :ivar forced: how many of its tokens were not chosen.
    """

    tokens: list[int] = attrs.field(factory=list)
    read: int = 0
    text: str = ""
    reason: str = "stop"
    runs: int = 0
    forced: int = 0


@attrs.define
class StructuredLoop:
    """The loop of one answer.

    :param prompt: the last tokens of the prompt, for the penalties.
    :param unread: the tokens of the prompt that are not read yet; there must be one.
    :param limit: the most tokens of the answer.
    :param on_text: called with each new piece of text; True ends the answer.
    """

    table: TokenTable
    constraint: IConstraint
    picker: Picker
    read_row: ReadRow
    prompt: Sequence[int]
    unread: Sequence[int]
    limit: int
    on_text: Callable[[str], bool]
    answer: StructuredAnswer = attrs.field(factory=StructuredAnswer)
    _mask: bytearray = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._mask = bytearray(-(-self.table.size // 32) * 4)

    def run(self) -> StructuredAnswer:
        """Make the answer.

        :raises RPCError: a run failed, or the form has reached a limit of its engine.
        """
        with ThreadPoolExecutor(1) as beside:
            return self._run(beside)

    def _run(self, beside: ThreadPoolExecutor) -> StructuredAnswer:
        answer = self.answer
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pending = [*self.unread]
        ended = False
        while not ended:
            new = self._forced()
            if not new and not self.constraint.stopped:
                token = self._chosen(pending, beside)
                pending = []
                new = [] if token in self.table.ends else [token]
            answer.tokens += new
            pending += new
            text = decoder.decode(b"".join(self.table.texts[one] for one in new), final=not new)
            answer.text += text
            is_enough = bool(text) and self.on_text(text)
            ended = not new or is_enough or self.constraint.stopped
            if not ended and len(answer.tokens) >= self.limit:
                answer.reason, ended = "length", True
        answer.read = len(answer.tokens) - len(pending)
        return answer

    def _forced(self) -> list[int]:
        """Return the next tokens, and take them in, if there is no choice."""
        room = self.limit - len(self.answer.tokens)
        found = [] if self.constraint.stopped else [*self.constraint.forced()][:room]
        if found:
            found = found[: self.constraint.consume(found)]
            self.answer.forced += len(found)
        return found

    def _chosen(self, pending: Sequence[int], beside: ThreadPoolExecutor) -> int:
        """Read what was not read yet, and choose the next token.

        What may come next does not depend on the row, so that it is found out during the run.
        """
        allowed = beside.submit(self._allowed)
        row = self.read_row(pending)
        self.answer.runs += 1
        try:
            token = self.picker.pick(row, allowed.result(), self._recent(self.table.control))
        except NothingAllowedError:
            raise RuntimeRefused(
                "The answer cannot go on: the model has no token that the form allows here.",
                {"function": "rkllm_run", "status_code": 0},
            ) from None
        if token not in self.table.ends and not self.constraint.consume([token]):
            raise RuntimeRefused(
                f"The engine allowed the token {token} and then refused it; this is its fault.",
                {"function": "rkllm_run", "status_code": 0},
            )
        return token

    def _allowed(self) -> Any:
        self.constraint.fill(self._mask)
        return self.picker.allowed(self._mask)

    def _recent(self, control: Collection[int]) -> list[int]:
        """Return the latest tokens but control tokens, as the embedded runtime counts them."""
        latest = self.answer.tokens[-PENALTY_WINDOW:]
        if len(latest) < PENALTY_WINDOW:
            latest = [*self.prompt[len(latest) - PENALTY_WINDOW :], *latest]
        return [one for one in latest if one not in control]
