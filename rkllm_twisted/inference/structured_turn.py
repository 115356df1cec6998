"""One answer that keeps to a form: the calls of one turn of the NPU."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import attrs

from rkllm_twisted.chat.answer import ChatAnswer, collect
from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.parsing import AnswerParser
from rkllm_twisted.chat.plan import CLEAR, Plan, plan
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.chat.trail import KnownCache, Trail, after_tokens
from rkllm_twisted.chat.usage import Usage
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.chat_turn import new_call_id
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.inference.token_reader import TokenReader
from rkllm_twisted.inference.tokenizer_check import check_tokenizer
from rkllm_twisted.inference.traits import RuntimeTraits
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
        cached = len(made.trail.tokens) - len(new)
        events: list[Event] = []
        parser = AnswerParser(self.prompt.reading, new_call_id)

        sent = 0

        def take(more: list[Event]) -> None:
            nonlocal sent
            events.extend(more)
            # Before the first row nothing is certain, and another way may have to be taken.
            if self.on_events is not None and reader.is_checked and len(events) > sent:
                turn.deliver(self.on_events, events[sent:])
                sent = len(events)

        def on_text(text: str) -> bool:
            take(parser.feed(text))
            return parser.stopped

        reader = TokenReader(self.tokens, self.traits, self.infer, turn, cached)
        if self.prompt.forced:
            on_text(self.prompt.forced)
        began = monotonic()
        reader.read(new[:-1])
        read = monotonic()
        sampling, seed = self._sampling(turn)
        loop = StructuredLoop(
            self.tokens.table,
            self.begin(),
            Picker(sampling, secrets.randbits(64) if seed is None else seed),
            reader.row,
            made.trail.tokens,
            new[-1:],
            self._limit(turn, len(made.trail.tokens)),
            on_text,
        )
        reader.picker = loop.picker
        answer = loop.run()
        turn.check()
        reader.is_checked = True
        take(parser.finish(answer.reason))
        held = answer.tokens[: answer.read] if answer.read >= 0 else None
        if held is not None:
            known.trail = after_tokens(made.trail, held, reader.size(), vocabulary)
        usage = Usage(
            len(made.trail.tokens),
            cached,
            len(answer.tokens),
            prefill_ms=1000 * (read - began),
            generate_ms=1000 * (monotonic() - read),
        )
        return StructuredResult(collect(events), answer, made, usage)

    def _limit(self, turn: ITurn, prompt: int) -> int:
        """Return the most tokens of the answer."""
        own = 0 if turn.limits is None else turn.limits.max_new_tokens
        asked = self.limit or (own if own > 0 else MAX_TOKENS)
        return min(asked, MAX_TOKENS, self.tokens.profile.chat.context - prompt)

    def _sampling(self, turn: ITurn) -> tuple[SamplingSettings, int | None]:
        loaded = {} if turn.limits is None else turn.limits.sampling
        return read_sampling(loaded, self.tokens.profile.sampling, self.asked)
