"""One answer that keeps to a form: the calls of one turn of the NPU."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import attrs

from rkllm_twisted.chat.answer import ChatAnswer, collect
from rkllm_twisted.chat.events import Event, Finish
from rkllm_twisted.chat.parsing import AnswerParser
from rkllm_twisted.chat.plan import CLEAR, Plan, plan
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.chat.trail import KnownCache, Trail, after_tokens
from rkllm_twisted.chat.usage import Usage
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.chat_turn import new_call_id
from rkllm_twisted.inference.reasoned_start import ReasonedStart, reason
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.inference.token_reader import TokenReader
from rkllm_twisted.inference.tokenizer_check import check_tokenizer
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.inference.whole_run import RunAbortedError
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.structured.loop import StructuredAnswer, StructuredLoop
from rkllm_twisted.structured.picker import Picker
from rkllm_twisted.structured.sampling import SamplingSettings, read_sampling

#: The most tokens of an answer. A form that has no end of its own may go on for ever.
MAX_TOKENS = 4096


@attrs.frozen
class StructuredResult:
    """An answer and how it was made.

    :param guaranteed: False if it was not made token by token, but checked when it was there.
    """

    answer: ChatAnswer
    made: StructuredAnswer
    plan: Plan
    usage: Usage
    guaranteed: bool = True
    changes: tuple[str, ...] = ()


@attrs.define
class StructuredTurn:
    """The procedure of one answer.

    :param begin: begins the constraint, anew for each answer.
    :param asked: the request's sampling parameters.
    :param infer: further fields of each run's RKLLMInferParam.
    :param limit: the most tokens that the client wants; None for the model's own limit.
    :param free: the same of a run that no form constrains: the model reasons first. None if not.
    :param on_events: called in the reactor thread with events; None if the client does not stream.
    """

    tokens: ModelTokens
    prompt: Prompt
    begin: Callable[[], IConstraint]
    traits: RuntimeTraits
    watch: CacheWatch
    asked: Mapping[str, Any] | None
    adapter: str | None
    infer: Mapping[str, object]
    limit: int | None
    on_events: Callable[[list[Event]], object] | None = None
    conversation: str | None = None
    free: Mapping[str, object] | None = None

    def continues(self) -> bool:
        """True if the cache holds the conversation. In the reactor thread, between two turns."""
        trail = self.watch.known.trail
        if trail is None:
            return False
        if self.conversation is not None:
            return self.conversation == self.watch.conversation
        return self._plan(trail).continued

    def perform(self, turn: ITurn) -> StructuredResult:
        """Make the calls. In the NPU thread.

        :raises NotAppendedError: the runtime cannot do this; nothing was sent to the client.
        :raises RPCError: a call failed, or the client has cancelled.
        """
        with self.watch.planned(self.conversation) as known:
            trail = known.take()
            if self._prepare(turn, known) or self.watch.inexact_load == turn.loads:
                trail = None
            made = self._plan(trail)
            for call in made.calls:
                turn.perform(turn.prepare(call.function, list(call.params)))
            return self._answer(turn, known, made)

    def _prepare(self, turn: ITurn, known: KnownCache) -> bool:
        """Make the calls before a first run. :returns: True if they have changed the cache."""
        vocabulary = self.tokens.profile.chat.vocabulary
        assert vocabulary is not None
        has_slot = known.empty_slot is not None
        if known.empty_slot is not None:
            call, known.empty_slot = known.empty_slot, None
            turn.perform(turn.prepare(call.function, list(call.params)))
        if vocabulary.is_certain or self.watch.checked_load == turn.loads:
            return has_slot
        turn.perform(turn.prepare(CLEAR.function, list(CLEAR.params)))
        check_tokenizer(turn, vocabulary, self.watch, self.traits)
        return True

    def _plan(self, trail: Trail | None) -> Plan:
        chat = self.tokens.profile.chat
        return plan(chat, self.prompt, trail, self.adapter, self.traits.plan)

    def _answer(self, turn: ITurn, known: KnownCache, made: Plan) -> StructuredResult:
        vocabulary = self.tokens.profile.chat.vocabulary
        assert vocabulary is not None
        assert made.trail is not None
        new: Sequence[int] = made.run_input["token_input"]["input_ids"]
        prompt = made.trail.tokens
        cached = len(prompt) - len(new)
        limit = self._limit(turn, len(prompt))
        reader = TokenReader(self.tokens, self.traits, self.infer, turn, cached)
        stream = _AnswerEvents(self, turn, reader)
        began = monotonic()
        try:
            start = self._start(reader, made, new, limit, stream)
        except RunAbortedError:
            start = ReasonedStart((), (), 0, "cancelled")
        if not start.unread:
            return self._unbegun(stream, start, made, cached)
        reading = self.prompt.reading
        if self.free is not None:
            reading = attrs.evolve(reading, reasoning=None)
        parser = AnswerParser(reading, new_call_id)

        def on_text(text: str) -> bool:
            stream.take(parser.feed(text))
            return parser.stopped

        if self.prompt.forced:
            on_text(self.prompt.forced)
        read = monotonic()
        sampling, seed = self._sampling(turn)
        loop = StructuredLoop(
            self.tokens.table,
            self.begin(),
            Picker(sampling, secrets.randbits(64) if seed is None else seed),
            reader.row,
            [*prompt, *start.tokens],
            start.unread,
            limit - len(start.tokens),
            on_text,
        )
        reader.picker = loop.picker
        answer = _made(loop)
        turn.check()
        reader.is_checked = True
        stream.take(parser.finish(answer.reason))
        if answer.reason != "cancelled":
            held = [*start.tokens, *answer.tokens[: answer.read]]
            known.trail = after_tokens(made.trail, held, reader.size(), vocabulary)
        usage = Usage(
            len(prompt),
            cached,
            len(start.tokens) + len(answer.tokens),
            start.reasoning,
            1000 * (read - began),
            1000 * (monotonic() - read),
        )
        return StructuredResult(collect(stream.events), answer, made, usage)

    def _start(
        self, reader: TokenReader, made: Plan, new: Sequence[int], limit: int, stream: _AnswerEvents
    ) -> ReasonedStart:
        """Read the prompt, but for its last token; with ``free``, run up to the answer."""
        assert made.trail is not None
        if self.free is None:
            reader.read(new[:-1])
            return ReasonedStart((), new[-1:], 0)
        prompt, reading = made.trail.tokens, self.prompt.reading
        return reason(
            reader, prompt, made.run_input, self.free, limit, reading, stream.take_reasoning
        )

    def _unbegun(
        self, stream: _AnswerEvents, start: ReasonedStart, made: Plan, cached: int
    ) -> StructuredResult:
        """Return the result of an answer that ends before its form begins."""
        assert made.trail is not None
        stream.take_reasoning([Finish(start.reason)])
        usage = Usage(len(made.trail.tokens), cached, len(start.tokens), start.reasoning)
        answer = StructuredAnswer(reason=start.reason)
        return StructuredResult(collect(stream.events), answer, made, usage)

    def _limit(self, turn: ITurn, prompt: int) -> int:
        """Return the most tokens of the answer."""
        own = 0 if turn.limits is None else turn.limits.max_new_tokens
        asked = self.limit or (own if own > 0 else MAX_TOKENS)
        return min(asked, MAX_TOKENS, self.tokens.profile.chat.context - prompt)

    def _sampling(self, turn: ITurn) -> tuple[SamplingSettings, int | None]:
        loaded = {} if turn.limits is None else turn.limits.sampling
        return read_sampling(loaded, self.tokens.profile.sampling, self.asked)


def _made(loop: StructuredLoop) -> StructuredAnswer:
    """Make an answer, or what a client lets it become: its abort ends it."""
    try:
        return loop.run()
    except RunAbortedError:
        return attrs.evolve(loop.answer, reason="cancelled")


@attrs.define
class _AnswerEvents:
    """The events of an answer, on their way to the client.

    :param reader: what knows whether it is certain that the answer can be made so.
    """

    structured: StructuredTurn
    turn: ITurn
    reader: TokenReader
    events: list[Event] = attrs.field(factory=list)
    _sent: int = 0

    def take(self, more: list[Event]) -> None:
        """Take in events. Before the first row another way may have to be taken."""
        self.events += more
        if self.reader.is_checked:
            self._send()

    def take_reasoning(self, more: list[Event]) -> None:
        """Take in events that stay in any case."""
        self.events += more
        self._send()

    def _send(self) -> None:
        if self.structured.on_events is not None and len(self.events) > self._sent:
            self.turn.deliver(self.structured.on_events, self.events[self._sent :])
            self._sent = len(self.events)
