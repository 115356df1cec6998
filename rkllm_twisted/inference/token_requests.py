"""``tokens.encode``, ``tokens.decode`` and ``tokens.count``. They need no turn of the NPU."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from rkllm_twisted.chat.compose import compose, count_with_images
from rkllm_twisted.chat.messages import wrong
from rkllm_twisted.chat.prompts import Prompt, TokenContent
from rkllm_twisted.chat.segments import Pieces, merged, split_marks
from rkllm_twisted.inference.model_turns import ModelTurns
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply
from rkllm_twisted.inference.requests import chat_request

COUNT = "count tokens"


async def encode(turns: ModelTurns, params: Any, client: Hashable, _: object) -> Reply:
    """Return the tokens of a text."""
    profile = await turns.profile(params.model, client)
    tokens: tuple[int, ...] = await turns.in_thread(_encoded, params, profile)
    return {"model": profile.name, "tokens": list(tokens), "count": len(tokens)}


async def decode(turns: ModelTurns, params: Any, client: Hashable, _: object) -> Reply:
    """Return the text of tokens."""
    profile = await turns.profile(params.model, client)
    vocabulary = profile.vocabulary("read tokens")
    vocabulary.check(params.tokens, "tokens")
    text: str = await turns.in_thread(vocabulary.decode, params.tokens)
    return {"model": profile.name, "text": text}


async def count(turns: ModelTurns, params: Any, client: Hashable, _: object) -> Reply:
    """Return how many tokens a text or a conversation has."""
    if (params.text is None) == (params.messages is None):
        raise wrong("text", "must be there, or messages, and not both")
    profile = await turns.profile(params.model, client)
    profile.vocabulary(COUNT)
    if params.text is not None:
        tokens = await turns.in_thread(_encoded, params, profile)
    else:
        return await _of_messages(turns, params, profile)
    return _counted(profile, len(tokens))


async def _of_messages(turns: ModelTurns, params: Any, profile: ModelProfile) -> Reply:
    request = await turns.in_thread(chat_request, params, profile, turns.pictures)
    prompt: Prompt = await turns.in_thread(compose, profile.chat, request, turns.now())
    if isinstance(prompt.content, TokenContent):
        return _counted(profile, len(prompt.content.tokens))
    if profile.chat.renderer is None:
        raise wrong("messages", f"{profile.name} has no chat template that is known")
    counted = await turns.in_thread(count_with_images, profile.chat, prompt, request.image_tokens)
    return _counted(profile, counted.tokens)


def _counted(profile: ModelProfile, count: int) -> Reply:
    return {"model": profile.name, "count": count, "context": profile.chat.context}


def _encoded(params: Any, profile: ModelProfile) -> tuple[int, ...]:
    vocabulary = profile.vocabulary(COUNT)
    pieces: Pieces = (
        split_marks(params.text, vocabulary.control) if params.marks else merged([params.text])
    )
    return vocabulary.encode(pieces)
