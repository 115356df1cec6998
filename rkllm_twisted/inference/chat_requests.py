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
from rkllm_twisted.inference.replies import Reply, call_figures, chat_reply, pieces_of
from rkllm_twisted.inference.requests import chat_request
from rkllm_twisted.inference.steered_calls import SteeredCalls

Stream = Callable[[Reply], object]


FindCalls = Callable[[ModelProfile], SteeredCalls | None]


@attrs.frozen
class _ReadyRequest:
    """A request that is ready for the NPU.

    :param profile: the model's; with a tokenizer, if the calls are steered.
    """

    profile: ModelProfile
    prompt: Prompt
    pictures: PicturesOfPrompt | None
    calls: SteeredCalls | None


async def complete(
    turns: ModelTurns,
    params: Any,
    client: Hashable,
    stream: Stream,
    find_calls: FindCalls = lambda _: None,
) -> Reply:
    """Answer a conversation.

    :param find_calls: returns what keeps the calls of the answer to their schemas, or None.
    """

    def prepare(profile: ModelProfile) -> _ReadyRequest:
        calls = find_calls(profile)
        own = profile if calls is None else calls.tokens.profile
        prompt = _composed(turns, params, own)
        return _ReadyRequest(own, prompt, turns.pictures.of(prompt, own), calls)

    def work(_: ModelProfile, made: _ReadyRequest) -> Iterator[TurnCalls[TurnResult]]:
        turn = turn_of(turns, params, made.profile, made.prompt, stream, params.conversation)
        turn = attrs.evolve(turn, pictures=made.pictures, calls=made.calls)
        yield TurnCalls(turn.perform, turn.continues)

    _, made, (result,) = await turns.answer(params.model, client, prepare, work)
    reply = chat_reply(made.profile, made.prompt, result)
    if made.calls is None or not made.calls.are_all(len(result.answer.tool_calls)):
        return reply
    return {**reply, "structured": call_figures(made.calls.made)}


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
