"""``chat.complete`` and ``chat.render``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import attrs

from rkllm_twisted.chat.compose import compose
from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.prompts import PlainContent, Prompt, SlotContent, TokenContent
from rkllm_twisted.chat.segments import text_of
from rkllm_twisted.inference.chat_turn import ChatTurn, TurnResult
from rkllm_twisted.inference.model_turns import ModelTurns, TurnCalls
from rkllm_twisted.inference.pictures import PicturesOfPrompt
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply, chat_reply, pieces_of
from rkllm_twisted.inference.requests import chat_request

Stream = Callable[[Reply], object]


async def complete(turns: ModelTurns, params: Any, client: Hashable, stream: Stream) -> Reply:
    """Answer a conversation."""

    def prepare(profile: ModelProfile) -> tuple[Prompt, PicturesOfPrompt | None]:
        prompt = _composed(turns, params, profile)
        return prompt, turns.pictures.of(prompt, profile)

    def work(
        profile: ModelProfile, prepared: tuple[Prompt, PicturesOfPrompt | None]
    ) -> Iterator[TurnCalls[TurnResult]]:
        prompt, pictures = prepared
        turn = turn_of(turns, params, profile, prompt, stream, params.conversation)
        turn = attrs.evolve(turn, pictures=pictures)
        yield TurnCalls(turn.perform, turn.continues)

    profile, (prompt, _), (result,) = await turns.answer(params.model, client, prepare, work)
    return chat_reply(profile, prompt, result)


def turn_of(
    turns: ModelTurns,
    params: Any,
    profile: ModelProfile,
    prompt: Prompt,
    stream: Stream,
    conversation: str | None = None,
) -> ChatTurn:
    """Return the turn that answers a prompt."""

    def on_events(events: list[Event]) -> None:
        for piece in pieces_of(events):
            stream(piece)

    limits = turns.limits(params, profile)
    return ChatTurn(
        profile,
        prompt,
        turns.traits,
        turns.watch,
        params.lora,
        limits.infer,
        limits.limit,
        on_events if params.stream else None,
        conversation,
        turns.prompts,
    )


async def render(turns: ModelTurns, params: Any, client: Hashable, _: Stream) -> Reply:
    """Show what the model would read."""
    profile = await turns.profile(params.model, client)
    prompt: Prompt = await turns.in_thread(_composed, turns, params, profile)
    tokens = prompt.content.tokens if isinstance(prompt.content, TokenContent) else None
    return {
        "model": profile.name,
        "tier": profile.chat.tier.value,
        "text": _text(prompt),
        "tokens": None if tokens is None else list(tokens),
        "count": None if tokens is None else len(tokens),
        "changes": list(prompt.changes),
        "dropped_messages": prompt.dropped,
    }


def _composed(turns: ModelTurns, params: Any, profile: ModelProfile) -> Prompt:
    request = chat_request(params, profile, turns.pictures)
    return compose(profile.chat, request, turns.now())


def _text(prompt: Prompt) -> str:
    match prompt.content:
        case TokenContent(pieces):
            return text_of(pieces)
        case SlotContent() | PlainContent() as text:
            return text.whole
