"""Tracks the known contents of the runtime's one KV cache.

Nothing is guessed. After a run that was not planned here, an abort, a crash or a template call, the
content is unknown. The cache is then cleared before the next prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import attrs

from rkllm_twisted.abi.release import leaves_cache
from rkllm_twisted.chat.messages import Conversation, Message, Part, Text, ToolCall
from rkllm_twisted.chat.model import Tier
from rkllm_twisted.chat.segments import Pieces, merged
from rkllm_twisted.chat.vocabulary import Vocabulary

#: Stands for a token that the runtime has read but has not reported.
NO_TOKEN = -1


@attrs.frozen
class PlannedCall:
    """A call of a function of rkllm.h. Its parameters are positional, as a client sends them."""

    function: str
    params: tuple[Any, ...] = ()


@attrs.frozen
class CacheKey:
    """The properties that two runs must share so that the second continues in the same cache.

    :param model: the model's :attr:`ChatModel.key`.
    :param adapter: the LoRA adapter's name, or None.
    :param template: tier B: the prefix and the postfix in the runtime's template slots, and the
        options of the rendering. Tier C: whether the model reasons first. Tier A: empty.
    """

    model: str
    adapter: str | None
    tier: Tier
    template: tuple[str, ...] = ()


@attrs.frozen
class Trail:
    """The contents of the cache.

    :param tokens: tier A: all tokens in the cache.
    :param pieces: tier A: the text of these tokens. Prompts are compared with it.
    :param ended: tier A: True if the last token is an end token that no callback has reported. It
        is :data:`NO_TOKEN` in ``tokens`` and is missing in ``pieces``.
    :param messages: tiers B and C: the conversation. After a run, its last message is the answer.
    :param slot: tier B: the text in the system slot, of which the runtime has read all.
    :param size: the size of the cache as the runtime counts it; None if the runtime was not asked.
    """

    key: CacheKey
    tokens: tuple[int, ...] = ()
    pieces: Pieces = ()
    ended: bool = False
    messages: Conversation = ()
    slot: str = ""
    size: int | None = None


def same_conversation(one: Conversation, other: Conversation) -> bool:
    """True if a model would read the same. Ids of calls and earlier reasoning are not compared."""
    return len(one) == len(other) and all(
        _read(a) == _read(b) for a, b in zip(one, other, strict=True)
    )


def same_beginning(one: Iterable[int], other: Iterable[int]) -> int:
    """Return with how many equal tokens two sequences begin."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _read(message: Message) -> Message:
    calls = tuple(ToolCall("", call.name, call.arguments) for call in message.tool_calls)
    parts: tuple[Part, ...] = (Text(message.text), *message.images)
    return Message(message.role, parts, tool_calls=calls)


@attrs.frozen
class Outcome:
    """The end of a run.

    :param answer: the answer, as the client will send it back.
    :param ended: True if the model ended the answer itself. False if a stop text or the limit of
        tokens ended it.
    :param tokens: the ids that the callbacks reported.
    :param size: the size of the cache after the run (``rkllm_get_kv_cache_size``); None if unknown.
    """

    answer: Message
    ended: bool
    tokens: tuple[int, ...] = ()
    size: int | None = None


def after_answer(
    read: Trail | None, outcome: Outcome, vocabulary: Vocabulary | None
) -> Trail | None:
    """Return what the cache holds after an answer; None if that is unknown.

    A cancelled or failed run has no outcome. The content of the cache is then unknown.

    :param read: what the cache holds after the prompt (:attr:`Plan.trail`).
    """
    if read is None:
        return None
    if read.key.tier is Tier.TOKENS:
        return _with_tokens(read, outcome, vocabulary) if vocabulary is not None else None
    if not outcome.ended:
        return None
    return attrs.evolve(read, messages=(*read.messages, outcome.answer), size=outcome.size)


def _with_tokens(read: Trail, outcome: Outcome, vocabulary: Vocabulary) -> Trail | None:
    """Return what the cache holds after an answer in tier A, even if the answer was cut off.

    The tokens that should be in the cache are compared with its size. The cache may lack the
    answer's last token. It may hold an end token that no callback reported. With any other
    difference the content is unknown.
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


def after_tokens(
    read: Trail | None, held: Sequence[int], size: int | None, vocabulary: Vocabulary
) -> Trail | None:
    """Return what the cache holds after an answer of which each token was read on purpose.

    :param read: what the cache holds after the prompt (:attr:`Plan.trail`).
    :param held: the tokens of the answer that the cache has.
    :param size: the size of the cache; None if that is unknown.
    """
    if read is None or size != len(read.tokens) + len(held):
        return None
    return attrs.evolve(
        read,
        tokens=(*read.tokens, *held),
        pieces=merged([*read.pieces, *vocabulary.pieces(held, read.tokens)]),
        ended=False,
        size=size,
    )


class KnownCache:
    """The one object that knows what the cache holds. It has to be told of every run.

    :param trail: what the cache holds; None if that is unknown.
    :param empty_slot: the call that takes a conversation out of the system slot; None if the slot
        holds no conversation. Make this call before any run that was not planned here. Otherwise
        that run would read the conversation.
    """

    def __init__(self) -> None:
        self.trail: Trail | None = None
        self.empty_slot: PlannedCall | None = None

    def take(self) -> Trail | None:
        """Return what is known, and forget it. A turn that ends well sets :attr:`trail` again."""
        trail, self.trail = self.trail, None
        return trail

    def called(self, function: str) -> None:
        """Record a client's own call, which was not planned here.

        :param function: the function's name in rkllm.h.
        """
        if not leaves_cache(function):
            self.trail = None
        if function in NEW_SLOT:
            self.empty_slot = None


#: After a call of one of these functions, no earlier template is in the slots.
NEW_SLOT = frozenset(
    ("rkllm_destroy", "rkllm_init", "rkllm_set_chat_template", "rkllm_set_function_tools")
)


def cache_size(answer: Mapping[str, object]) -> int | None:
    """Return the size in an answer of ``rkllm_get_kv_cache_size``; None unless it has one row."""
    match answer.get("cache_sizes"):
        case [int(size)]:
            return size
        case _:
            return None
