"""One answer that keeps to a form: the calls of one turn of the NPU."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs

from rkllm_twisted.chat.answer import ChatAnswer, collect
from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.parsing import AnswerParser
from rkllm_twisted.chat.plan import CLEAR, Plan, plan
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.chat.trail import KnownCache, Trail, after_tokens, cache_size
from rkllm_twisted.chat.usage import Usage
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.array_run import HIDDEN, LOGITS, NoArrayError, array_run, token_input
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.chat_turn import new_call_id
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.inference.tokenizer_check import check_tokenizer, require_own
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.inference.whole_run import RUN
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.structured.loop import StructuredAnswer, StructuredLoop
from rkllm_twisted.structured.picker import Picker
from rkllm_twisted.structured.sampling import SamplingSettings, read_sampling

if TYPE_CHECKING:
    from rkllm_twisted.structured.picker import Row

#: The most tokens of an answer. A form that has no end of its own may go on for ever.
MAX_TOKENS = 4096
#: The tokens that one run for hidden states reads: they come back as many megabytes.
TOKENS_PER_RUN = 512
#: The most tokens of a run for logits, of which each brings a row; what goes before is read for
#: hidden states, which are far shorter.
TOKENS_WITH_ROWS = 16


class NotAppendedError(RuntimeRefused):
    """The runtime does not read tokens behind those in its cache, so no answer can be steered."""


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

        reader = _TokenReader(self, turn, cached)
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


@attrs.define
class _TokenReader:
    """Reads tokens behind those in the cache, and checks once that this is what happens."""

    structured: StructuredTurn
    turn: ITurn
    cached: int
    picker: Picker | None = None
    is_checked: bool = False

    def read(self, tokens: Sequence[int]) -> None:
        """Read tokens."""
        for start in range(0, len(tokens), TOKENS_PER_RUN):
            self._run(HIDDEN, tokens[start : start + TOKENS_PER_RUN])

    def row(self, tokens: Sequence[int]) -> Row:
        """Read tokens; return the row of logits behind the last one."""
        self.read(tokens[:-TOKENS_WITH_ROWS])
        data = self._run(LOGITS, tokens[-TOKENS_WITH_ROWS:])
        if not self.is_checked:
            self._check(data.shape[-1])
        assert self.picker is not None
        return self.picker.row(data.data, data.shape[-1])

    def _run(self, mode: str, tokens: Sequence[int]) -> Any:
        how = self.structured
        infer = {**how.infer, "keep_history": 1}
        context = how.tokens.profile.chat.context
        try:
            found = array_run(self.turn, mode, token_input(tokens), infer, context)
        except NoArrayError as error:
            if mode == LOGITS:
                raise NotAppendedError(error.message, error.data) from None
            return None
        finally:
            self.cached += len(tokens)
        return found

    def _check(self, columns: int) -> None:
        """Check that the model is the tokenizer's, and that the tokens were read."""
        vocabulary = self.structured.tokens.profile.chat.vocabulary
        assert vocabulary is not None
        require_own(vocabulary.width_mismatch(columns))
        size = self.size()
        if size is not None and size != self.cached:
            raise NotAppendedError(
                f"The runtime's cache holds {size} tokens after {self.cached} were read.", RUN
            )
        self.is_checked = True

    def size(self) -> int | None:
        """Return the size of the cache; None if the release cannot tell."""
        if not self.structured.traits.sizes:
            return None
        return cache_size(self.turn.perform(self.turn.prepare("rkllm_get_kv_cache_size", None)))
