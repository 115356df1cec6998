"""What the runtime's one KV cache is known to hold.

Nothing is guessed: a run that was not planned here, an abort, a crash, a template call leave a
cache of which nothing is known, and then it is cleared before anything else is read.
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
    """A call of a function of rkllm.h, its parameters positional as a client would send them."""

    function: str
    params: tuple[Any, ...] = ()


@attrs.frozen
class CacheKey:
    """What has to be the same for a conversation to go on in the cache.

    :param model: :attr:`ChatModel.key`.
    :param adapter: the LoRA adapter's name, or None.
    :param template: what stands in the runtime's template slots, if anything does.
    """

    model: str
    adapter: str | None
    tier: Tier
    template: tuple[str, ...] = ()


@attrs.frozen
class Trail:
    """What the cache holds.

    :param tokens: tier A: all of them.
    :param pieces: tier A: the same as text, with which prompts are compared.
    :param ended: tier A: True if an end token comes last that no callback has brought. It is
        :data:`NO_TOKEN` among the tokens, and none of the pieces.
    :param messages: tiers B and C: the conversation, an answer last.
    :param in_slot: tier B: how many of the messages are in the system slot.
    :param size: of the cache, as the runtime counts; None if not asked.
    """

    key: CacheKey
    tokens: tuple[int, ...] = ()
    pieces: Pieces = ()
    ended: bool = False
    messages: Conversation = ()
    in_slot: int = 0
    size: int | None = None


def same_conversation(one: Conversation, other: Conversation) -> bool:
    """True if a model would read the same: ids of calls and reasoning make no difference."""
    return len(one) == len(other) and all(
        _read(a) == _read(b) for a, b in zip(one, other, strict=True)
    )


def _read(message: Message) -> Message:
    calls = tuple(ToolCall("", call.name, call.arguments) for call in message.tool_calls)
    parts: tuple[Part, ...] = (Text(message.text), *message.images)
    return Message(message.role, parts, tool_calls=calls)


def conversation_key(key: str, messages: Conversation, adapter: str | None = None) -> str:
    """Return what the requests of one conversation have in common, for serving them together.

    Two conversations that begin alike have it, too: then they share the beginning in the cache.

    :param key: :attr:`ChatModel.key`.
    """
    end = next((at + 1 for at, one in enumerate(messages) if one.role == "user"), 1)
    beginning = [(one.role, one.text) for one in messages[:end]]
    return hashlib.sha256(repr((key, adapter, beginning)).encode()).hexdigest()


@attrs.frozen
class Outcome:
    """How a run ended.

    :param answer: as the client will send it back.
    :param ended: True if the model ended it itself: no stop text, no limit of tokens.
    :param tokens: the ids that the callbacks brought.
    :param size: of the cache now (``rkllm_get_kv_cache_size``); None if that is not known.
    """

    answer: Message
    ended: bool
    tokens: tuple[int, ...] = ()
    size: int | None = None


def after_answer(
    read: Trail | None, outcome: Outcome, vocabulary: Vocabulary | None
) -> Trail | None:
    """Return what the cache holds after an answer; None if that is not known.

    A cancelled or failed run has no outcome: nothing is known of the cache.

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
    """Tokens are counted, so an answer that was cut off is known as well.

    The last token of an answer was chosen, and need not have been read; an end token may have been
    read, and no callback brings it. Any other difference means that not all is known.
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
    """The one object that knows what the cache holds. All runs of the runtime have to pass it.

    :param trail: what it holds; None if nothing is known.
    :param empty_slot: the call that takes a conversation out of the system slot; None if none is
        in it. It has to come before any run that was not planned here, which would read it.
    """

    def __init__(self) -> None:
        self.trail: Trail | None = None
        self.empty_slot: PlannedCall | None = None

    def take(self) -> Trail | None:
        """Return what is known and forget it, until a turn has ended well and sets it again."""
        trail, self.trail = self.trail, None
        return trail

    def called(self, function: str) -> None:
        """Take note of a call that was not planned here: a client's own.

        :param function: of rkllm.h.
        """
        if function not in HARMLESS:
            self.trail = None
        if function in NEW_SLOT:
            self.empty_slot = None


#: Functions that leave the cache, and how it is written on, as they are.
HARMLESS = frozenset(
    (
        "rkllm_createDefaultParam",
        "rkllm_get_kv_cache_size",
        "rkllm_is_running",
        "rkllm_load_lora",
    )
)

#: Functions after which no earlier template stands in the slots.
NEW_SLOT = frozenset(
    ("rkllm_destroy", "rkllm_init", "rkllm_set_chat_template", "rkllm_set_function_tools")
)


def cache_size(answer: Mapping[str, object]) -> int | None:
    """Return the size that ``rkllm_get_kv_cache_size`` answered, or None for several rows."""
    match answer.get("cache_sizes"):
        case [int(size)]:
            return size
        case _:
            return None
