"""``text.complete``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from rkllm_twisted.chat.infill import infill
from rkllm_twisted.chat.messages import wrong
from rkllm_twisted.chat.parsing import Reading
from rkllm_twisted.chat.prompts import Prompt, TokenContent
from rkllm_twisted.chat.segments import merged
from rkllm_twisted.chat.stops import read_stops
from rkllm_twisted.inference.chat_requests import turn_of
from rkllm_twisted.inference.chat_turn import TurnResult
from rkllm_twisted.inference.model_turns import ModelTurns, TurnCalls
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply, usage_reply


async def complete(
    turns: ModelTurns, params: Any, client: Hashable, stream: Callable[[Reply], object]
) -> Reply:
    """Continue a text, without a chat template."""

    def text_only(piece: Reply) -> None:
        stream({"text": piece["content"]})

    def work(profile: ModelProfile, prompt: Prompt) -> Iterator[TurnCalls[TurnResult]]:
        turn = turn_of(turns, params, profile, prompt, text_only)
        yield TurnCalls(turn.perform, turn.continues)

    profile, _, (result,) = await turns.answer(
        params.model, client, lambda profile: _prompt(params, profile), work
    )
    return {
        "model": profile.name,
        "text": result.answer.content or "",
        "finish_reason": result.answer.finish_reason,
        "usage": usage_reply(result.usage),
    }


def _prompt(params: Any, profile: ModelProfile) -> Prompt:
    vocabulary = profile.vocabulary("complete a text without a chat template")
    if isinstance(params.prompt, str):
        start = vocabulary.surrounding[0]
        pieces = merged([*start, *infill(profile.infill, params.prompt, params.suffix or "")])
        return _checked(TokenContent(pieces, vocabulary.encode(pieces)), params, profile)
    if params.suffix:
        raise wrong("suffix", "needs a prompt that is a text")
    return text_prompt(params, profile)


def text_prompt(params: Any, profile: ModelProfile) -> Prompt:
    """Return a prompt without a chat template, for ``prompt`` and ``stop`` of a request.

    :raises InvalidParams: the prompt is wrong, or too long.
    """
    vocabulary = profile.vocabulary("read a text without a chat template")
    if isinstance(params.prompt, str):
        pieces = merged([*vocabulary.surrounding[0], params.prompt])
        tokens = vocabulary.encode(pieces)
    else:
        tokens = tuple(params.prompt)
        vocabulary.check(tokens, "prompt")
        pieces = vocabulary.pieces(tokens)
    return _checked(TokenContent(pieces, tokens), params, profile)


def _checked(content: TokenContent, params: Any, profile: ModelProfile) -> Prompt:
    tokens = content.tokens
    if not tokens:
        raise wrong("prompt", "is empty")
    if len(tokens) >= profile.chat.context:
        raise wrong(
            "prompt",
            f"has {len(tokens)} tokens and the model's context is {profile.chat.context}",
        )
    reading = Reading(stops=read_stops(params.stop), end_tokens=profile.chat.end_tokens)
    return Prompt(content, reading)
