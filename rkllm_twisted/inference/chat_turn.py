"""One answer of a conversation: the calls of one turn of the NPU."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.answer import ChatAnswer, collect
from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.parsing import AnswerParser
from rkllm_twisted.chat.plan import Plan, plan
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.chat.trail import KnownCache, Outcome, Trail, after_answer, cache_size
from rkllm_twisted.chat.usage import Usage, usage_of
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.inference.answer_reader import AnswerReader
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.exact_reading import is_exact, not_continued, stop_continuing
from rkllm_twisted.inference.pictures import PicturesOfPrompt
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.prompt_cache import PromptCache
from rkllm_twisted.inference.slot_check import SET_TEMPLATE, check_slots
from rkllm_twisted.inference.steered_calls import SteeredCalls, has_begun_call
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.run_error import check_run
from rkllm_twisted.values import FINISH_REASON, Params, Result

#: The runtime leaves the marks of tool calls out: a call may have come as text.
HIDDEN_MARKS = "tool_marks_hidden"


@attrs.frozen
class TurnResult:
    """An answer and how it was made.

    :param changes: see ``chat.complete``; those that are known after the run only.
    """

    answer: ChatAnswer
    plan: Plan
    usage: Usage
    changes: tuple[str, ...] = ()


@attrs.frozen
class ChatTurn:
    """The procedure of one answer.

    :param adapter: the name of a LoRA adapter, or None.
    :param infer: further fields of the run's RKLLMInferParam.
    :param limit: the most tokens, if ``infer`` cannot say it; None for any number.
    :param on_events: called in the reactor thread with events; None if the client does not stream.
    :param conversation: the name that the client has given to the conversation, or None.
    :param prompts: the saved prompts; None if none are saved.
    :param watched: called in the NPU thread with events; True ends the answer.
    :param pictures: the prompt's images; None if it has none.
    :param calls: keeps calls to their schemas; None if that is not wanted.
    """

    profile: ModelProfile
    prompt: Prompt
    traits: RuntimeTraits
    watch: CacheWatch
    adapter: str | None = None
    infer: Mapping[str, object] = attrs.field(factory=dict)
    limit: int | None = None
    on_events: Callable[[list[Event]], object] | None = None
    conversation: str | None = None
    prompts: PromptCache | None = None
    watched: Callable[[list[Event]], bool] | None = None
    pictures: PicturesOfPrompt | None = None
    calls: SteeredCalls | None = None

    def continues(self) -> bool:
        """True if the cache holds the conversation. In the reactor thread, between two turns."""
        trail = self.watch.known.trail
        if trail is None:
            return False
        if self.conversation is not None:
            return self.conversation == self.watch.conversation
        return self._plan(trail).continued

    def perform(self, turn: ITurn) -> TurnResult:
        """Make the calls. In the NPU thread.

        :raises RPCError: a call failed, or the client has cancelled.
        """
        with self.watch.planned(self.conversation) as known:
            trail = known.take()
            is_known = trail is not None and self.watch.inexact_load != turn.loads
            return self._answer(turn, known, trail if is_known else None)

    def _answer(self, turn: ITurn, known: KnownCache, trail: Trail | None) -> TurnResult:
        """Make the calls of a plan; make them anew if the model has not read what it should.

        :raises RuntimeRefused: it has not, and the client has got a part of the answer already.
        """
        made = self._with_rows(turn, self._plan(trail))
        self._prepare_cache(turn, made, known)
        reader = self._reader(turn, made)
        held, final = self._run(turn, made, reader)
        perf = final.get("perf") or {}
        exact = held is not None or is_exact(made, perf)
        if not exact:
            stop_continuing(turn, self.watch, made, perf)
            if made.continued and self.on_events is not None:
                raise not_continued()
            if made.continued:
                return self._answer(turn, known, None)
        if self.calls is not None and made.trail is not None:
            final = self.calls.go_on(turn, made.trail.tokens, reader, final)
        result = self._finish(turn, _with_held(made, held), known, reader, final)
        if not exact or self.watch.inexact_load == turn.loads:
            known.trail = None
        else:
            self._check_restored(held, made, known, result)
        return result

    def _plan(self, trail: Trail | None) -> Plan:
        return plan(self.profile.chat, self.prompt, trail, self.adapter, self.traits.plan)

    def _with_rows(self, turn: ITurn, made: Plan) -> Plan:
        if self.pictures is None:
            return made
        multimodal = {**made.run_input["multimodal_input"], "image": self.pictures.rows(turn)}
        return attrs.evolve(made, run_input={**made.run_input, "multimodal_input": multimodal})

    def _prepare_cache(self, turn: ITurn, made: Plan, known: KnownCache) -> None:
        fills = any(call.function == SET_TEMPLATE for call in made.calls)
        if fills and not self.traits.reads_slot_marks:
            known.empty_slot = made.empty_slot
            check_slots(turn, made, self.watch)
        if made.tier is Tier.TOKENS and known.empty_slot is not None:
            call, known.empty_slot = known.empty_slot, None
            _call(turn, call.function, list(call.params))
        for call in made.calls:
            if call.function == SET_TEMPLATE:
                self._fill_slots(turn, made, known, list(call.params))
            else:
                _call(turn, call.function, list(call.params))

    def _fill_slots(self, turn: ITurn, made: Plan, known: KnownCache, slots: list[Any]) -> None:
        before, known.empty_slot = known.empty_slot, made.empty_slot
        try:
            _call(turn, SET_TEMPLATE, slots)
        except InvalidParams as error:  # the NPU has not made the call
            known.empty_slot = before
            words = (error.data or {}).get("words")
            context = self.profile.chat.context
            raise InvalidParams(
                f"The conversation has {words} words, each at least one token, and the model's"
                f" context is {context}: leave messages out.",
                {"parameter": "messages", "reason": "context_length", "context": context},
            ) from None

    def _reader(self, turn: ITurn, made: Plan) -> AnswerReader:
        def deliver(events: list[Event]) -> None:
            if self.on_events is not None:
                turn.deliver(self.on_events, events)
            if self.watched is not None and self.watched(events):
                reader.is_cut = True

        reader = AnswerReader(
            AnswerParser(self.prompt.reading, new_call_id),
            self.profile.chat.vocabulary if made.tier is Tier.TOKENS else None,
            self.profile.end_ids,
            self.limit,
            deliver,
            has_begun_call if self.calls is not None and self.calls.applies(turn) else None,
        )
        if self.prompt.forced:
            reader.feed(self.prompt.forced)
        return reader

    def _run(self, turn: ITurn, made: Plan, reader: AnswerReader) -> tuple[int | None, Result]:
        """Make the run.

        :returns: see :meth:`PromptCache.run`.
        """

        def on_result(result: Result) -> None:
            if reader.take(result):
                turn.abort()

        infer = {**self.infer}
        if made.keep_history is not None:
            infer["keep_history"] = made.keep_history
        if self.prompts is not None and self.prompts.serves(made):
            held, final = self.prompts.run(turn, made, infer, on_result)
        else:
            params: Params = [made.run_input, infer]
            held, final = None, turn.perform(turn.prepare("rkllm_run", params), on_result)
        turn.check()  # else an aborted answer would count as whole
        return held, check_run(final, self.profile.chat.context)

    def _finish(
        self, turn: ITurn, made: Plan, known: KnownCache, reader: AnswerReader, final: Result
    ) -> TurnResult:
        reason = self._reason(reader, final)
        reader.finish(reason)
        answer = collect(reader.events)
        size = self._size(turn)
        if reason != "cancelled":
            outcome = Outcome(
                answer.message,
                ended=reason == "stop" and not (reader.is_cut or reader.parser.stopped),
                tokens=tuple(reader.tokens),
                size=size,
            )
            known.trail = after_answer(made.trail, outcome, self.profile.chat.vocabulary)
        perf = final.get("perf") or {}
        cached, reading = self._counted(made, perf, size)
        usage = usage_of(
            perf,
            cached=cached,
            reading=reading,
            written=len(reader.tokens),
            reasoning=reader.parser.reasoning_tokens,
        )
        return TurnResult(answer, made, usage, self._changes(turn, made))

    def _changes(self, turn: ITurn, made: Plan) -> tuple[str, ...]:
        form = self.prompt.reading.tool_format
        is_special = made.tier is not Tier.TOKENS and form is not None and form.special
        return (HIDDEN_MARKS,) if is_special and turn.skip_special_token else ()

    def _counted(
        self, made: Plan, perf: Mapping[str, int], size: int | None
    ) -> tuple[int, int | None]:
        """Return how many tokens of the prompt were in the cache, and were read if counted."""
        read, cached, new = perf.get("prefill_tokens", 0), made.cached_tokens, made.new_tokens
        reuses = self.traits.plan.reuses and not made.continued
        if new is not None:
            kept = max(0, new - read) if reuses and read else 0
            return (cached or 0) + kept, new - kept
        if cached is None or reuses:
            written = read + perf.get("generate_tokens", 0)
            cached = max(0, size - written) if size is not None and perf else 0
        return cached, None

    def _check_restored(
        self, held: int | None, made: Plan, known: KnownCache, result: TurnResult
    ) -> None:
        is_unknown = known.trail is None and result.answer.finish_reason != "cancelled"
        if held is not None and is_unknown and self.prompts is not None and made.trail is not None:
            self.prompts.was_wrong(made.trail.key)

    def _reason(self, reader: AnswerReader, final: Result) -> str:
        """Return why the run ended."""
        if reader.is_over:
            return "length" if reader.is_full and not reader.parser.stopped else "stop"
        reason: str = final.get(FINISH_REASON, "stop")
        return reason

    def _size(self, turn: ITurn) -> int | None:
        if not self.traits.sizes:
            return None
        return cache_size(_call(turn, "rkllm_get_kv_cache_size", None))


def _with_held(made: Plan, held: int | None) -> Plan:
    """Return a plan of which so many tokens were restored and not read."""
    if not held or made.new_tokens is None:
        return made
    return attrs.evolve(made, cached_tokens=held, new_tokens=made.new_tokens - held)


def _call(turn: ITurn, function: str, params: Params) -> Mapping[str, Any]:
    outputs: Mapping[str, Any] = turn.perform(turn.prepare(function, params))
    return outputs


def new_call_id() -> str:
    """Return a unique id for a tool call."""
    return f"call_{secrets.token_hex(12)}"
