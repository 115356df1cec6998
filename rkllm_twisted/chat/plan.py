"""The plan of one turn: the calls that feed a prompt to the runtime.

If the cache holds the earlier conversation, only the new part is read. Otherwise the cache is
cleared and the whole prompt is read. The whole prompt is also read if the runtime lacks a function
that the tier needs.

A cache is used only if the prompt begins with all of it, because the runtime can cut off the end of
a cache only while a run is paused. The tokens of the system slot are an exception. The runtime can
keep them and clear the rest.

The embedded runtime compares a prompt with what it was told to clear, and does not read again what
both begin with. No call asks for that; a plan only says how much it may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.model import ChatModel, Tier
from rkllm_twisted.chat.prompts import PlainContent, Prompt, SlotContent, TokenContent
from rkllm_twisted.chat.segments import Mark, Pieces, after, merged
from rkllm_twisted.chat.trail import (
    CacheKey,
    PlannedCall,
    Trail,
    same_beginning,
    same_conversation,
)


@attrs.frozen
class Traits:
    """The abilities of a release of the runtime, known from ``rkllm-abi.json`` or from a board.

    :param history: True if it has ``keep_history`` and ``clear_kv_cache`` (since 1.2.0).
    :param keeps_system: True if ``clear_kv_cache`` with 1 keeps the system slot's tokens.
    :param templates: True if it has ``set_chat_template`` (since 1.2.0).
    :param roles: True if RKLLMInput has ``role`` and ``enable_thinking`` (since 1.2.1).
    :param reuses: True if a run that keeps its history does not read again what a cleared cache
        held.
    """

    history: bool = True
    keeps_system: bool = True
    templates: bool = True
    roles: bool = True
    reuses: bool = True


CLEAR = PlannedCall("rkllm_clear_kv_cache", (0,))
CLEAR_BUT_SYSTEM = PlannedCall("rkllm_clear_kv_cache", (1,))


@attrs.frozen
class Plan:
    """The plan for one answer.

    :param calls: the calls to make before the run.
    :param run_input: the run's RKLLMInput.
    :param keep_history: the field of the run's RKLLMInferParam; None if the release lacks it.
    :param trail: what the cache holds after the prompt is read; None if that will be unknown.
    :param continued: True if the cache already holds the earlier conversation.
    :param cached_tokens: how many tokens of the prompt are in the cache; None if not counted.
    :param new_tokens: how many tokens this run reads; None if not counted.
    :param flattened: True if the earlier conversation is read as plain text.
    :param shared: tier A: how many tokens of a prompt that does not continue are what the cache
        held, so that the runtime need not read them again.
    :param empty_slot: tier B: the new value of :attr:`KnownCache.empty_slot`.
    """

    tier: Tier
    calls: tuple[PlannedCall, ...]
    run_input: Mapping[str, Any]
    keep_history: int | None
    trail: Trail | None
    continued: bool = False
    cached_tokens: int | None = 0
    new_tokens: int | None = None
    flattened: bool = False
    shared: int = 0
    empty_slot: PlannedCall | None = None


def plan(
    model: ChatModel,
    prompt: Prompt,
    trail: Trail | None,
    adapter: str | None = None,
    traits: Traits = Traits(),
) -> Plan:
    """Plan the calls for a prompt.

    :param trail: what the cache holds; None if that is unknown.
    :param adapter: the name of the run's LoRA adapter, or None.
    """
    if prompt.images:
        return _for_images(plan(model, attrs.evolve(prompt, images=()), None, adapter, traits))
    match prompt.content:
        case TokenContent():
            made = _with_tokens(model, prompt.content, trail, adapter)
        case SlotContent() if traits.templates:
            made = _with_slot(model, prompt.content, trail, adapter, traits)
        case SlotContent():  # the only way before 1.2.0
            whole = _text(prompt.content.whole, "user", traits)
            made = Plan(Tier.TEMPLATE, (CLEAR,), whole, 0, None)
        case PlainContent():
            made = _plain(model, prompt.content, trail, adapter, traits)
    if traits.history:
        return _with_shared(made, prompt, trail) if traits.reuses else made
    # A release without history has no call to clear the cache, and needs none.
    calls = tuple(call for call in made.calls if call.function != CLEAR.function)
    return attrs.evolve(made, calls=calls, keep_history=None, trail=None)


def _for_images(made: Plan) -> Plan:
    """Return a plan whose run takes rows of images; they are still to be put into its input.

    The cache is cleared before and unknown after: release 1.3.0 may answer about the image before
    (reported of its reuse of embeddings), and no call tells what the cache holds of rows.
    """
    run_input = {**made.run_input}
    text = run_input.pop("prompt_input")
    run_input |= {"input_type": "RKLLM_INPUT_MULTIMODAL", "multimodal_input": {"prompt": text}}
    keeps = None if made.keep_history is None else 0
    return attrs.evolve(made, run_input=run_input, keep_history=keeps, trail=None)


def _with_shared(made: Plan, prompt: Prompt, trail: Trail | None) -> Plan:
    is_known = made.trail is not None and trail is not None and trail.key == made.trail.key
    if made.continued or not is_known or not isinstance(prompt.content, TokenContent):
        return made
    assert trail is not None
    return attrs.evolve(made, shared=same_beginning(trail.tokens, prompt.content.tokens))


def _with_tokens(
    model: ChatModel, content: TokenContent, trail: Trail | None, adapter: str | None
) -> Plan:
    key = CacheKey(model.key, adapter, Tier.TOKENS)
    cached: tuple[int, ...] = ()
    tokens = content.tokens
    if trail is not None and trail.key == key and model.vocabulary is not None:
        rest = _new(trail, content.pieces)
        new = model.vocabulary.encode(rest, first=False) if rest else ()
        # The runtime answers only if it reads at least one token.
        if new and len(trail.tokens) + len(new) < model.context:
            cached, tokens = trail.tokens, new
    read = Trail(key, (*cached, *tokens), merged(content.pieces))
    return Plan(
        Tier.TOKENS,
        () if cached else (CLEAR,),
        {
            "input_type": "RKLLM_INPUT_TOKEN",
            "token_input": {"input_ids": list(tokens), "n_tokens": len(tokens)},
        },
        1,
        read,
        bool(cached),
        len(cached),
        len(tokens),
    )


def _new(trail: Trail, pieces: Pieces) -> Pieces | None:
    """Return the part of a prompt after the cached part; None if the cache holds anything else."""
    rest = after(trail.pieces, pieces)
    if rest is None or not trail.ended:
        return rest
    # The runtime does not report the end token. Assume the one that the template puts here.
    return rest[1:] if rest and isinstance(rest[0], Mark) else None


def _with_slot(
    model: ChatModel,
    content: SlotContent,
    trail: Trail | None,
    adapter: str | None,
    traits: Traits,
) -> Plan:
    earlier = content.messages[:-1]
    slots = (content.system, content.prefix, content.postfix)
    key = CacheKey(model.key, adapter, Tier.TEMPLATE, (*slots[1:], content.options))
    run_input = _text(content.text, "user", traits)
    empty = _set_slots("", content.user_prefix, content.postfix)
    if trail is not None and trail.key == key and content.prefix:
        held = attrs.evolve(trail, messages=content.messages)
        if same_conversation(trail.messages, earlier):
            size = trail.size
            return Plan(Tier.TEMPLATE, (), run_input, 1, held, True, size, empty_slot=empty)
        if traits.keeps_system and content.system and content.system == trail.slot:
            # A client asks again, or begins another conversation after the same system message.
            back, same = (CLEAR_BUT_SYSTEM,), bool(earlier)
            return Plan(Tier.TEMPLATE, back, run_input, 1, held, same, None, empty_slot=empty)
    read = Trail(key, messages=content.messages, slot=content.system)
    calls = (CLEAR, _set_slots(*slots))
    return Plan(Tier.TEMPLATE, calls, run_input, 1, read, empty_slot=empty)


def _set_slots(system: str, prefix: str, postfix: str) -> PlannedCall:
    return PlannedCall("rkllm_set_chat_template", (system, prefix, postfix))


def _plain(
    model: ChatModel,
    content: PlainContent,
    trail: Trail | None,
    adapter: str | None,
    traits: Traits,
) -> Plan:
    earlier, newest = content.messages[:-1], content.messages[-1]
    key = CacheKey(model.key, adapter, Tier.RUNTIME, (str(content.thinking),))
    read = Trail(key, messages=content.messages)
    if (
        trail is not None
        and trail.key == key
        and earlier
        and same_conversation(trail.messages, earlier)
    ):
        run_input = _text(content.text, newest.role, traits, content.thinking)
        return Plan(Tier.RUNTIME, (), run_input, 1, read, True, trail.size)
    run_input = _text(content.flat, "user", traits, content.thinking)
    return Plan(Tier.RUNTIME, (CLEAR,), run_input, 1, read, flattened=bool(earlier))


def _text(
    text: str, role: str, traits: Traits, thinking: bool | None = None
) -> Mapping[str, object]:
    if not traits.roles:
        return {"prompt_input": text}
    more = {} if thinking is None else {"enable_thinking": thinking}
    return {"role": role, "prompt_input": text, **more}
