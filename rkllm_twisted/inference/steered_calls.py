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

from rkllm_twisted.chat.plan import CLEAR
from rkllm_twisted.chat.tool_calls import OpenCall
from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.inference.answer_reader import AnswerReader
from rkllm_twisted.inference.array_run import token_input
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.inference.token_reader import NotAppendedError, TokenReader
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.run_error import check_run
from rkllm_twisted.structured.begun_call import rest_of_call
from rkllm_twisted.structured.loop import StructuredAnswer, StructuredLoop
from rkllm_twisted.structured.picker import Picker
from rkllm_twisted.structured.sampling import read_sampling
from rkllm_twisted.values import Result


@attrs.frozen
class _Begun:
    """What of a begun call stays.

    :param kept: the tokens of the answer up to here.
    :param is_whole: True if these are all that the model has written.
    :param text: the text of those that the parser has not read.
    """

    constraint: IConstraint
    kept: Sequence[int]
    is_whole: bool
    text: str


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
        if reader.call is None:
            return final
        began, perf = monotonic(), {**(final.get("perf") or {})}
        while reader.call is not None:
            call, reader.call, reader.is_cut = reader.call, None, False
            unread: Sequence[int] = ()
            if not self._is_full(turn, prompt, reader):
                unread = self._finish_call(turn, prompt, reader, call)
            if reader.is_over or self._is_full(turn, prompt, reader):
                break
            final = self._run_freely(turn, unread, reader, self._room(turn, prompt, reader))
        # The number of tokens of a part is not that of the answer.
        perf["generate_tokens"] = 0
        perf["generate_time_ms"] = perf.get("generate_time_ms", 0) + 1000 * (monotonic() - began)
        return {**final, "perf": perf}

    def _finish_call(
        self, turn: ITurn, prompt: Sequence[int], reader: AnswerReader, call: OpenCall
    ) -> Sequence[int]:
        """Make the rest of a call. :returns: the tokens that the cache does not hold yet."""
        came = list(reader.tokens)
        begun = self._begun(came, reader.cut_at, call)
        source = TokenReader(self.tokens, self.traits, self.adapter, turn, 0)
        if begun is None:
            reader.tokens[:] = came[: reader.cut_at]
            reader.until_call = False
            return self._unread(source, prompt, reader.tokens, len(came))
        reader.tokens[:] = begun.kept
        written = len(came) if begun.is_whole else None
        unread = self._unread(source, prompt, begun.kept, written)
        if begun.text:
            reader.feed(begun.text)
        loaded = {} if turn.limits is None else turn.limits.sampling
        sampling, seed = read_sampling(loaded, self.tokens.profile.sampling, self.asked)
        loop = StructuredLoop(
            self.tokens.table,
            begun.constraint,
            Picker(sampling, secrets.randbits(64) if seed is None else seed),
            source.row,
            [*prompt, *begun.kept],
            unread,
            self._room(turn, prompt, reader),
            lambda text: _feed(reader, text),
        )
        source.picker = loop.picker
        before = reader.parser.calls
        try:
            answer = loop.run()
        except NotAppendedError:
            self.watch.unsteered_load = turn.loads
            reader.tokens += loop.answer.tokens
            reader.until_call = False
            return self._unread(source, prompt, reader.tokens, None)
        turn.check()
        reader.tokens += answer.tokens
        reader.is_full = answer.reason == "length"
        self.made.tokens += answer.tokens
        self.made.runs += answer.runs
        self.made.forced += answer.forced
        self._whole += reader.parser.calls - before
        reader.ended = answer.read == len(answer.tokens)
        return [*unread, *answer.tokens][len(unread) + answer.read :]

    def _begun(self, came: Sequence[int], cut_at: int, call: OpenCall) -> _Begun | None:
        """Return what stays of a call; None if what the parser has read cannot go on well."""
        texts = self.tokens.table.texts
        at, held = _place(texts, came[:cut_at], call.past)
        chat = self.tokens.profile.chat
        control = chat.vocabulary.control if chat.vocabulary else {}
        best = None
        for flexible in (False, True):
            form = rest_of_call(
                self.tools, chat.tool_format, call, held, control, flexible=flexible
            )
            try:
                constraint = self.tokens.constrain(form)
            except InvalidParams:
                return None
            end = at + constraint.consume(came[at:])
            text = b"".join(texts[one] for one in came[cut_at:end])
            if end < cut_at or not _is_text(text):
                continue
            begun = _Begun(constraint, came[:end], end == len(came), text.decode())
            if begun.is_whole:
                return begun
            best = best or begun
        return best

    def _unread(
        self, source: TokenReader, prompt: Sequence[int], kept: Sequence[int], written: int | None
    ) -> Sequence[int]:
        """Return the tokens to read next. If the cache cannot be used as it stands, it is cleared.

        :param written: how many tokens of an answer the cache may hold; None if it cannot be used.
        """
        size = source.size()
        if written == len(kept) and size is not None:
            unread = len(prompt) + len(kept) - size
            if 0 < unread <= len(kept):
                source.cached = size
                return kept[len(kept) - unread :]
        source.turn.perform(source.turn.prepare(CLEAR.function, list(CLEAR.params)))
        source.cached = 0
        return [*prompt, *kept]

    def _is_full(self, turn: ITurn, prompt: Sequence[int], reader: AnswerReader) -> bool:
        reader.is_full = reader.is_full or self._room(turn, prompt, reader) < 1
        return reader.is_full

    def _room(self, turn: ITurn, prompt: Sequence[int], reader: AnswerReader) -> int:
        """Return how many tokens may still come."""
        own = 0 if turn.limits is None else turn.limits.max_new_tokens
        context = self.tokens.profile.chat.context
        asked = self.limit or (own if own > 0 else context)
        return min(asked, context - len(prompt)) - len(reader.tokens)

    def _run_freely(
        self, turn: ITurn, unread: Sequence[int], reader: AnswerReader, room: int
    ) -> Result:
        def on_result(result: Result) -> None:
            if reader.take(result):
                turn.abort()

        infer = {**self.infer, "keep_history": 1}
        if "max_new_tokens" in self.traits.run_fields:
            infer["max_new_tokens"] = room
        params: Any = [token_input(unread), infer]
        final = turn.perform(turn.prepare("rkllm_run", params), on_result)
        turn.check()
        return check_run(final, self.tokens.profile.chat.context)


def _feed(reader: AnswerReader, text: str) -> bool:
    reader.feed(text)
    return reader.parser.stopped


def _place(texts: Sequence[bytes], came: Sequence[int], past: str) -> tuple[int, str]:
    """Return where a text at the end of tokens begins: the token, and its text before that."""
    room, at = len(past.encode()), len(came)
    while room > 0 and at > 0:
        at -= 1
        room -= len(texts[came[at]])
    return at, texts[came[at]][:-room].decode(errors="replace") if room < 0 else ""


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
