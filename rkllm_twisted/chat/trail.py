"""Tracks the known contents of the runtime's one KV cache.

Nothing is guessed. After a run that chat did not plan, an abort, a crash or a template call, the
contents are unknown, and the next plan clears the cache first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.messages import Conversation, Message, Part, Text, ToolCall
from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.segments import Pieces, merged
from rkllm_twisted.chat.vocabulary import Vocabulary

#: Stands for a token that the runtime has read and not reported.
NO_TOKEN = -1


@attrs.frozen
class PlannedCall:
    """A call of a function of rkllm.h, with positional parameters as from a client."""

    function: str
    params: tuple[Any, ...] = ()


@attrs.frozen
class CacheKey:
    """The values that must be equal for a conversation to continue in the cache.

    :param model: :attr:`ChatModel.key`.
    :param adapter: the LoRA adapter's name, or None.
    :param template: the contents of the runtime's template slots, if there are any.
    """

    model: str
    adapter: str | None
    tier: Tier
    template: tuple[str, ...] = ()


@attrs.frozen
class Trail:
    """The contents of the cache.

    :param tokens: tier A: all tokens.
    :param pieces: tier A: the same as text, with which prompts are compared.
    :param ended: tier A: True if an end token comes last that no callback has brought. It is
        :data:`NO_TOKEN` among the tokens, and none of the pieces.
    :param messages: tiers B and C: the conversation, an answer last.
    :param in_slot: tier B: how many of the messages are in the system slot.
    :param size: the size of the cache by the runtime's count; None if unknown.
    """

    key: CacheKey
    tokens: tuple[int, ...] = ()
    pieces: Pieces = ()
    ended: bool = False
    messages: Conversation = ()
    in_slot: int = 0
    size: int | None = None


def same_conversation(one: Conversation, other: Conversation) -> bool:
    """True if a model would read the same; ids of calls and reasoning do not count."""
    return len(one) == len(other) and all(
        _read(a) == _read(b) for a, b in zip(one, other, strict=True)
    )


def _read(message: Message) -> Message:
    calls = tuple(ToolCall("", call.name, call.arguments) for call in message.tool_calls)
    parts: tuple[Part, ...] = (Text(message.text), *message.images)
    return Message(message.role, parts, tool_calls=calls)


def conversation_key(key: str, messages: Conversation, adapter: str | None = None) -> str:
    """Return a key that the requests of one conversation share, to serve them together.

    Two conversations with the same beginning have the same key: they share the beginning in the
    cache.

    :param key: :attr:`ChatModel.key`.
    """
    end = next((at + 1 for at, one in enumerate(messages) if one.role == "user"), 1)
    beginning = [(one.role, one.text) for one in messages[:end]]
    return hashlib.sha256(repr((key, adapter, beginning)).encode()).hexdigest()


@attrs.frozen
class Outcome:
    """The end of a run.

    :param answer: the answer as the client will send it back.
    :param ended: True if the model itself ended it, not a stop text or a limit of tokens.
    :param tokens: the ids that the callbacks brought.
    :param size: the size of the cache now (``rkllm_get_kv_cache_size``); None if unknown.
    """

    answer: Message
    ended: bool
    tokens: tuple[int, ...] = ()
    size: int | None = None


def after_answer(
    read: Trail | None, outcome: Outcome, vocabulary: Vocabulary | None
) -> Trail | None:
    """Return the contents of the cache after an answer; None if they are unknown.

    A cancelled or failed run has no outcome: the contents of the cache are unknown.

    :param read: :attr:`Plan.trail`.
    """
    if read is None:
        return None
    if read.key.tier is Tier.TOKENS:
        return _with_tokens(read, outcome, vocabulary) if vocabulary is not None else None
    if not outcome.ended:
        return None
    return attrs.evolve(read, messages=(*read.messages, outcome.answer), size=outcome.size)


def _with_tokens(read: Trail, outcome: Outcome, vocabulary: Vocabulary) -> Trail | None:
    """Return the trail by the number of tokens, so that a cut answer is known, too.

    The cache may lack the last token of an answer, which was chosen but not read, or hold an end
    token, which no callback brings. With any other difference the contents are unknown.
    """
    if outcome.size is None:
        return None
    generated = outcome.tokens
    unread = len(read.tokens) + len(generated) - outcome.size
    if unread not in (-1 if outcome.ended else 0, 0, 1) or unread > len(generated):
        return None
    held = generated[: len(generated) - max(unread, 0)]
    ended = unread < 0
    return attrs.evolve(
        read,
        tokens=(*read.tokens, *held, *((NO_TOKEN,) if ended else ())),
        pieces=merged([*read.pieces, *vocabulary.pieces(held, read.tokens)]),
        ended=ended,
        size=outcome.size,
    )


class KnownCache:
    """The one object with the known contents of the cache. All runs of the runtime must pass it.

    :param trail: the contents; None if they are unknown.
    :param empty_slot: the call that takes a conversation out of the system slot; None if none is
        in it. It must precede any run that chat did not plan, which would read the slot.
    """

    def __init__(self) -> None:
        self.trail: Trail | None = None
        self.empty_slot: PlannedCall | None = None

    def take(self) -> Trail | None:
        """Return the trail and forget it; a turn that ends well sets it again."""
        trail, self.trail = self.trail, None
        return trail

    def called(self, function: str) -> None:
        """Record a client's own call, which chat did not plan.

        :param function: the function of rkllm.h.
        """
        if function not in HARMLESS:
            self.trail = None
        if function in NEW_SLOT:
            self.empty_slot = None


#: Functions that change neither the cache nor the way in which later runs extend it.
HARMLESS = frozenset(
    (
        "rkllm_createDefaultParam",
        "rkllm_get_kv_cache_size",
        "rkllm_is_running",
        "rkllm_load_lora",
    )
)

#: Functions that remove any earlier template from the slots.
NEW_SLOT = frozenset(
    ("rkllm_destroy", "rkllm_init", "rkllm_set_chat_template", "rkllm_set_function_tools")
)


def cache_size(answer: Mapping[str, object]) -> int | None:
    """Return the size from the answer of ``rkllm_get_kv_cache_size``; None for several rows."""
    match answer.get("cache_sizes"):
        case [int(size)]:
            return size
        case _:
            return None
