"""Keeps the calls of an answer to the schemas of their tools, once the model has begun them.

The answer runs freely up to the mark of a call. There the run is aborted, the rest of the call is
made token by token, and the answer runs freely again. In the NPU thread.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import attrs

from rkllm_twisted.chat.parsing import AnswerParser
from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.inference.answer_reader import AnswerReader
from rkllm_twisted.inference.array_run import token_input
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.free_run import free_run
from rkllm_twisted.inference.kept_call import KeptCall, kept_call
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.inference.token_reader import NotAppendedError, TokenReader
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.inference.whole_run import RunAbortedError
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.structured.loop import StructuredAnswer, StructuredLoop
from rkllm_twisted.structured.picker import Picker
from rkllm_twisted.structured.sampling import read_sampling
from rkllm_twisted.values import FINISH_REASON, Result


@attrs.define
class SteeredCalls:
    """The calls of one answer.

    :param asked: the request's sampling parameters.
    :param adapter: the fields of each run's RKLLMInferParam that name an adapter.
    :param infer: all further fields of a free run.
    :param limit: the most tokens of the answer that the client wants; None for the model's own.
    """

    tokens: ModelTokens
    tools: Tools
    traits: RuntimeTraits
    watch: CacheWatch
    asked: Mapping[str, Any] | None
    adapter: Mapping[str, object]
    infer: Mapping[str, object]
    limit: int | None
    made: StructuredAnswer = attrs.field(factory=StructuredAnswer)
    _whole: int = 0

    def applies(self, turn: ITurn) -> bool:
        """True if the runtime is not known to be unable to do this."""
        return turn.loads not in (self.watch.unsteered_load, self.watch.inexact_load)

    def are_all(self, calls: int) -> bool:
        """True if so many calls were made, and each token by token."""
        return 0 < calls == self._whole

    def go_on(
        self, turn: ITurn, prompt: Sequence[int], reader: AnswerReader, final: Result
    ) -> Result:
        """Make the rest of an answer in which a call has begun.

        :param prompt: all tokens that the cache held before the answer.
        :param reader: what has read the answer up to there.
        :param final: the last result of the run up to there.
        :returns: the last result of the whole answer.
        """
        if reader.cut_at is None:
            return final
        began, perf = monotonic(), {**(final.get("perf") or {})}
        while reader.cut_at is not None:
            cut_at, reader.cut_at, reader.is_cut = reader.cut_at, None, False
            if final.get(FINISH_REASON) == "cancelled":  # by a client, at the same time
                break
            unread: Sequence[int] = ()
            if not self._is_full(turn, prompt, reader):
                try:
                    unread = self._finish_call(turn, prompt, reader, cut_at)
                except RunAbortedError:
                    final = {**final, FINISH_REASON: "cancelled"}
                    break
            if reader.is_over or self._is_full(turn, prompt, reader):
                break
            final = self._run_freely(turn, prompt, unread, reader)
        # The number of tokens of a part is not that of the answer.
        perf["generate_tokens"] = 0
        perf["generate_time_ms"] = perf.get("generate_time_ms", 0) + 1000 * (monotonic() - began)
        return {**final, "perf": perf}

    def _run_freely(
        self, turn: ITurn, prompt: Sequence[int], unread: Sequence[int], reader: AnswerReader
    ) -> Result:
        """Run the model after the unread tokens, without a form; return the last result."""
        infer = {**self.infer}
        if "max_new_tokens" in self.traits.run_fields:
            infer["max_new_tokens"] = self._room(turn, prompt, reader)
        context = self.tokens.profile.chat.context
        return free_run(turn, token_input(unread), infer, reader, context)

    def _finish_call(
        self, turn: ITurn, prompt: Sequence[int], reader: AnswerReader, cut_at: int
    ) -> Sequence[int]:
        """Make the rest of a call.

        :returns: the tokens that the cache does not hold yet.
        :raises RunAbortedError: a client has ended the answer.
        """
        came = [*reader.tokens]
        call = reader.parser.open_call
        begun = None
        if call is not None:
            begun = kept_call(self.tokens, self.tools, came, cut_at, call)
        source = TokenReader(self.tokens, self.traits, self.adapter, turn, 0)
        if begun is None:
            return _let_go(source, prompt, reader, came[:cut_at], whole=len(came) == cut_at)
        reader.tokens[:] = begun.kept
        is_forced = bool(begun.constraint.forced())
        unread = source.rest(prompt, begun.kept, whole=begun.is_whole, may_be_none=is_forced)
        if begun.text:
            reader.feed(begun.text)
        loop = self._loop(source, begun, prompt, unread, reader)
        return self._steer(loop, source, prompt, unread, reader)

    def _steer(
        self,
        loop: StructuredLoop,
        source: TokenReader,
        prompt: Sequence[int],
        unread: Sequence[int],
        reader: AnswerReader,
    ) -> Sequence[int]:
        """Make the rest of a call token by token, and return as :meth:`_finish_call`."""
        before = reader.parser.calls
        try:
            answer = loop.run()
        except NotAppendedError:
            self.watch.unsteered_load = source.turn.loads
            came = [*reader.tokens, *loop.answer.tokens]
            return _let_go(source, prompt, reader, came, whole=False)
        source.turn.check()
        self._count(answer, reader.parser.calls - before)
        reader.tokens += answer.tokens
        reader.is_full = answer.reason == "length"
        reader.ended = answer.read == len(answer.tokens)
        return [*unread, *answer.tokens][len(unread) + answer.read :]

    def _loop(
        self,
        source: TokenReader,
        begun: KeptCall,
        prompt: Sequence[int],
        unread: Sequence[int],
        reader: AnswerReader,
    ) -> StructuredLoop:
        """Return what makes the rest of a call."""
        turn = source.turn
        loaded = {} if turn.limits is None else turn.limits.sampling
        sampling, seed = read_sampling(loaded, self.tokens.profile.sampling, self.asked)
        source.picker = Picker(sampling, secrets.randbits(64) if seed is None else seed)
        return StructuredLoop(
            self.tokens.table,
            begun.constraint,
            source.picker,
            source.row,
            [*prompt, *begun.kept],
            unread,
            self._room(turn, prompt, reader),
            lambda text: _feed(reader, text),
        )

    def _count(self, answer: StructuredAnswer, calls: int) -> None:
        """Add what was made token by token to the figures.

        :param calls: how many calls it has completed.
        """
        self.made.tokens += answer.tokens
        self.made.runs += answer.runs
        self.made.forced += answer.forced
        self._whole += calls

    def _is_full(self, turn: ITurn, prompt: Sequence[int], reader: AnswerReader) -> bool:
        reader.is_full = reader.is_full or self._room(turn, prompt, reader) < 1
        return reader.is_full

    def _room(self, turn: ITurn, prompt: Sequence[int], reader: AnswerReader) -> int:
        """Return how many tokens may still come."""
        own = 0 if turn.limits is None else turn.limits.max_new_tokens
        context = self.tokens.profile.chat.context
        asked = self.limit or (own if own > 0 else context)
        return min(asked, context - len(prompt)) - len(reader.tokens)


def _let_go(
    source: TokenReader,
    prompt: Sequence[int],
    reader: AnswerReader,
    kept: Sequence[int],
    *,
    whole: bool,
) -> Sequence[int]:
    """Leave the rest of an answer to the model, and return the tokens to read next.

    :param kept: what of the answer stays.
    :param whole: True if that is all that the model has written.
    """
    reader.tokens[:] = kept
    reader.until = None
    return source.rest(prompt, kept, whole=whole)


def _feed(reader: AnswerReader, text: str) -> bool:
    reader.feed(text)
    return reader.parser.stopped


def has_begun_call(parser: AnswerParser) -> bool:
    """True if the model has begun a call."""
    return parser.open_call is not None
