"""``embeddings.create``."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from rkllm_twisted.chat.embeddings import (
    POOLINGS,
    Vector,
    as_base64,
    as_float_array,
    embed,
    read_inputs,
)
from rkllm_twisted.chat.messages import shown, wrong
from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.segments import merged
from rkllm_twisted.inference.hidden_turn import HiddenTurn, Input
from rkllm_twisted.inference.model_turns import ModelTurns, TurnCalls
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply
from rkllm_twisted.values import FloatArray

MODE = "RKLLM_INFER_GET_LAST_HIDDEN_LAYER"
#: Of one request.
MAX_INPUTS = 2048
FORMS = ("float", "base64")


async def create(turns: ModelTurns, params: Any, client: Hashable, _: object) -> Reply:
    """Make an embedding of each text."""
    if params.encoding_format not in FORMS:
        known = " or ".join(FORMS)
        raise wrong("encoding_format", f"must be {known}, not {shown(params.encoding_format)}")
    inputs = read_inputs(params.input)
    profile, vectors, counts = await embedded(
        turns, params.model, client, inputs, params.pooling, params.dimensions
    )
    is_text = params.encoding_format == "base64"
    has_prompts = profile.chat.vocabulary is None and any(isinstance(one, str) for one in inputs)
    return {
        "model": profile.name,
        "embeddings": list(map(as_base64, vectors)) if is_text else as_float_array(vectors),
        "width": len(vectors[0]),
        "tier": (Tier.RUNTIME if has_prompts else Tier.TOKENS).value,
        "usage": {"prompt_tokens": sum(counts), "total_tokens": sum(counts)},
    }


async def embedded(
    turns: ModelTurns,
    name: str | None,
    client: Hashable,
    inputs: Sequence[Input],
    pooling: str | None = None,
    dimensions: int | None = None,
) -> tuple[ModelProfile, list[Vector], list[int]]:
    """Return the embeddings of texts, and the number of tokens of each.

    :raises InvalidParams: there are too many, one is too long, or the pooling is unknown.
    """
    if len(inputs) > MAX_INPUTS:
        raise wrong("input", f"{len(inputs)} texts are too many, at most {MAX_INPUTS} are possible")
    if pooling is not None and pooling not in POOLINGS:
        known = ", ".join(POOLINGS)
        raise wrong("pooling", f"must be one of {known}, not {shown(pooling)}")

    def work(profile: ModelProfile, read: list[Input]) -> Iterator[TurnCalls[list[FloatArray]]]:
        context = profile.chat.context
        whole = HiddenTurn(
            *(read, MODE, context, turns.traits, turns.watch, _unchanged),
            vocabulary=profile.chat.vocabulary,
        )
        for part in whole.parts():
            yield TurnCalls(part.perform)

    profile, _, results = await turns.answer(
        name, client, lambda profile: [_read(one, profile) for one in inputs], work
    )
    states = [one for result in results for one in result]
    chosen = pooling or profile.pooling or "last"
    vectors: list[Vector] = await turns.in_thread(
        lambda: [embed(one, chosen, dimensions) for one in states]
    )
    return profile, vectors, [one.shape[0] for one in states]


def _unchanged(states: FloatArray) -> FloatArray:
    return states


def _read(given: Input, profile: ModelProfile) -> Input:
    """Return an input as tokens, with the model's own around it, if there is a tokenizer."""
    vocabulary = profile.chat.vocabulary
    if vocabulary is not None and isinstance(given, str):
        start, end = vocabulary.surrounding
        given = vocabulary.encode(merged([*start, given, *end]))
    if isinstance(given, tuple) and len(given) > profile.chat.context:
        raise wrong(
            "input",
            f"a text has {len(given)} tokens, the model's context is {profile.chat.context}",
        )
    return given
