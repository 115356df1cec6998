"""The reasoning before an answer in a form, which no form constrains. In the NPU thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.chat.events import Event, Reasoning
from rkllm_twisted.chat.parsing import AnswerParser, Reading
from rkllm_twisted.chat.segments import split_marks
from rkllm_twisted.inference.answer_reader import AnswerReader
from rkllm_twisted.inference.chat_turn import new_call_id
from rkllm_twisted.inference.free_run import free_run, place_of_end
from rkllm_twisted.inference.token_reader import TokenReader
from rkllm_twisted.values import FINISH_REASON

#: What templates put between the reasoning and the answer.
_GAP = "\n\n"


@attrs.frozen
class ReasonedStart:
    """What has come before an answer in a form.

    :param tokens: all tokens behind the prompt.
    :param unread: those, and others before, that are to be read next; empty if none may follow.
    :param reasoning: how many were reasoning.
    :param reason: why the answer ends here, if none may follow.
    """

    tokens: Sequence[int]
    unread: Sequence[int]
    reasoning: int
    reason: str = "length"


def reason(
    source: TokenReader,
    prompt: Sequence[int],
    new: Mapping[str, Any],
    infer: Mapping[str, object],
    limit: int,
    reading: Reading,
    on_events: Callable[[list[Event]], object],
) -> ReasonedStart:
    """Run up to the end of the reasoning. If the model does not end it, it is ended here.

    :param prompt: all its tokens.
    :param new: the RKLLMInput of those that the cache does not hold.
    :param infer: further fields of the run's RKLLMInferParam.
    :param limit: the most tokens.
    :param on_events: called with the reasoning.
    :raises RPCError: the run failed, or the client has cancelled.
    """

    def only_reasoning(events: list[Event]) -> None:
        if found := [one for one in events if isinstance(one, Reasoning)]:
            on_events([*found])

    has_limit = "max_new_tokens" in source.traits.run_fields
    profile = source.tokens.profile
    reader = AnswerReader(
        AnswerParser(Reading(reading.reasoning, reading.opened), new_call_id),
        profile.chat.vocabulary,
        profile.end_ids,
        None if has_limit else limit,
        only_reasoning,
        _is_past,
    )
    more = {"max_new_tokens": limit} if has_limit else {}
    final = free_run(source.turn, new, {**infer, **more}, reader, profile.chat.context)
    is_aborted = final.get(FINISH_REASON) == "cancelled"
    reader.finish("cancelled" if is_aborted else "stop")
    count = reader.parser.reasoning_tokens
    if is_aborted:
        return ReasonedStart(reader.tokens, (), count, "cancelled")
    if reader.cut_at is None and len(reader.tokens) >= limit:
        return ReasonedStart(reader.tokens, (), count)
    kept, closing = _kept(source, reader)
    assert profile.chat.vocabulary is not None
    pieces = split_marks(closing, profile.chat.vocabulary.control)
    given = profile.chat.vocabulary.encode(pieces, first=False) if pieces else ()
    if len(kept) + len(given) >= limit:
        return ReasonedStart(kept, (), count)
    unread = source.rest(prompt, kept, given, whole=len(kept) == len(reader.tokens))
    return ReasonedStart([*kept, *given], unread, count)


def _is_past(parser: AnswerParser) -> bool:
    return parser.past_reasoning is not None


def _kept(source: TokenReader, reader: AnswerReader) -> tuple[Sequence[int], str]:
    """Return which of the run's tokens stay, and the text to put behind them.

    What came behind the reasoning stays if it is white space.
    """
    came, table, marks = reader.tokens, source.tokens.table, source.tokens.profile.chat.reasoning
    if reader.cut_at is None:  # the model has ended its answer
        closing = f"{marks.close}{_GAP}" if marks and reader.parser.is_reasoning else ""
        return [one for one in came if one not in table.ends], closing
    past = reader.parser.past_reasoning or ""
    at, held = place_of_end(table.texts, came[: reader.cut_at], past)
    if held and past.strip():
        return came[:at], held + _GAP
    end = at + bool(held)
    while end < len(came) and came[end] not in table.control and _is_space(table.texts[came[end]]):
        end += 1
    return came[:end], _GAP if 0 < end == at else ""


def _is_space(text: bytes) -> bool:
    return not text.strip()
