"""``text.structured``, and the part of ``chat.complete`` that keeps to a form."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import attrs

from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.messages import wrong
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.inference.model_turns import ModelTurns, TurnCalls
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply, pieces_of, usage_reply
from rkllm_twisted.inference.structured_turn import (
    MAX_TOKENS,
    StructuredResult,
    StructuredTurn,
)
from rkllm_twisted.inference.text_requests import text_prompt
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.structured.form import KINDS, Form, the_form
from rkllm_twisted.structured.sampling import read_sampling


@attrs.frozen
class PreparedAnswer:
    """A request for an answer in a form, ready for the NPU."""

    form: Form
    prompt: Prompt
    tokens: ModelTokens
    begin: Callable[[], IConstraint]


async def complete(
    turns: ModelTurns, params: Any, client: Hashable, stream: Callable[[Reply], object]
) -> Reply:
    """Continue a text in a given form."""
    form = the_form({kind: getattr(params, kind) for kind in KINDS})
    check_limits(params)

    def prepare(profile: ModelProfile) -> PreparedAnswer:
        tokens = turns.engines.of(profile, form)
        if tokens is None:
            profile.vocabulary("keep an answer to a form")  # raises
            raise AssertionError
        prompt = text_prompt(params, tokens.profile)
        tokens.constrain(form)
        return PreparedAnswer(form, prompt, tokens, lambda: tokens.constrain(form))

    def work(_: ModelProfile, prepared: PreparedAnswer) -> Iterator[TurnCalls[StructuredResult]]:
        turn = turn_of(turns, params, prepared, lambda piece: stream({"text": piece["content"]}))
        yield TurnCalls(turn.perform, turn.continues)

    profile, _, (result,) = await turns.answer(params.model, client, prepare, work)
    return {
        "model": profile.name,
        "text": result.answer.content or "",
        "finish_reason": result.answer.finish_reason,
        **figures(form, result),
        "usage": usage_reply(result.usage),
    }


def check_limits(params: Any) -> None:
    """Check what is the same for each kind of answer.

    :raises InvalidParams: a value is wrong; the error names its place.
    """
    read_sampling({}, {}, params.sampling)
    asked = params.max_new_tokens
    if asked is not None and not 1 <= asked <= MAX_TOKENS:
        raise wrong("max_new_tokens", f"must be from 1 to {MAX_TOKENS} for an answer in a form")


def turn_of(
    turns: ModelTurns,
    params: Any,
    prepared: PreparedAnswer,
    stream: Callable[[Reply], object],
    conversation: str | None = None,
) -> StructuredTurn:
    """Return the turn that answers a prompt in a form."""

    def on_events(events: list[Event]) -> None:
        for piece in pieces_of(events):
            stream(piece)

    return StructuredTurn(
        prepared.tokens,
        prepared.prompt,
        prepared.begin,
        turns.traits,
        turns.watch,
        params.sampling,
        params.lora,
        turns.adapter(params.lora),
        params.max_new_tokens,
        on_events if params.stream else None,
        conversation,
    )


def figures(form: Form, result: StructuredResult) -> Reply:
    """Return what is said of an answer in a form beside the answer."""
    text = result.answer.content or ""
    is_whole = form.is_json and result.answer.finish_reason == "stop"
    return {
        "parsed": parsed(text) if is_whole else None,
        "tokens": len(result.made.tokens),
        "runs": result.made.runs,
        "forced": result.made.forced,
        "guaranteed": result.guaranteed,
    }


def parsed(text: str) -> object:
    """Return the value of JSON; None if it is none, because a stop text has ended it."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value
