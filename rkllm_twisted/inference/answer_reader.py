"""Reads the results of one run: tokens in, events of the answer out. In the NPU thread."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.parsing import AnswerParser
from rkllm_twisted.chat.vocabulary import Decoder, Vocabulary
from rkllm_twisted.inference.tokenizer_check import require_own
from rkllm_twisted.values import Result, RunState

#: The first tokens of a run show whether the tokenizer is the model's.
PROBED_TOKENS = 16


@attrs.define
class AnswerReader:
    """One run's answer.

    :param parser: makes events of the text.
    :param vocabulary: makes text of the tokens' ids; None to use the runtime's text.
    :param end_ids: the ids of tokens that end the answer.
    :param limit: the most tokens, if the run itself has no limit; None for any number.
    :param on_events: called with the events of each token.
    :param until: True if the run is to end where the parser is; None if it is never to.
    :ivar cut_at: how many tokens had come there; None if it was not reached.
    :ivar tokens: the ids that came.
    :ivar events: all events.
    :ivar ended: True if an end token has come.
    :ivar is_full: True if the limit is reached.
    :ivar is_cut: True if whoever reads the events wants no more.
    """

    parser: AnswerParser
    vocabulary: Vocabulary | None
    end_ids: frozenset[int]
    limit: int | None
    on_events: Callable[[list[Event]], object]
    until: Callable[[AnswerParser], bool] | None = None
    cut_at: int | None = None
    tokens: list[int] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    ended: bool = False
    is_full: bool = False
    is_cut: bool = False
    _decoder: Decoder | None = None

    def __attrs_post_init__(self) -> None:
        if self.vocabulary is not None:
            self._decoder = Decoder(self.vocabulary)

    @property
    def is_over(self) -> bool:
        """True if nothing that still comes belongs to the answer."""
        return self.ended or self.is_full or self.is_cut or self.parser.stopped

    def take(self, result: Result) -> bool:
        """Take in a partial result.

        :returns: True if the run can be ended.
        :raises RuntimeRefused: the tokenizer is another model's.
        """
        state, token = result["_callback_state"], result["token_id"]
        if token >= 0:
            self.tokens.append(token)
        if self.is_over or state not in (RunState.NORMAL, RunState.WAITING):
            return self.is_over
        if token in self.end_ids:
            self.ended = True
            return True
        self.feed(self._text(result, token, state))
        self.is_full = self.limit is not None and len(self.tokens) >= self.limit
        if self.until is not None and self.until(self.parser):
            self.is_cut, self.cut_at = True, len(self.tokens)
        return self.is_over

    def feed(self, text: str) -> None:
        """Take in the text of one token."""
        self._add(self.parser.feed(text))

    def finish(self, reason: str) -> None:
        """Take in the end: ``stop``, ``length`` or ``cancelled``."""
        if self._decoder is not None and not self.is_over and (text := self._decoder.flush()):
            self.feed(text)
        self._add(self.parser.finish(reason))

    def _add(self, events: list[Event]) -> None:
        if events:
            self.events += events
            self.on_events(events)

    def _text(self, result: Result, token: int, state: int) -> str:
        text: str = (result["text"] or "") if state == RunState.NORMAL else ""
        if self._decoder is None or self.vocabulary is None or token < 0:
            return text
        if len(self.tokens) <= PROBED_TOKENS and state == RunState.NORMAL:
            require_own(self.vocabulary.mismatch(token, text))
        return self._decoder.feed(token)
