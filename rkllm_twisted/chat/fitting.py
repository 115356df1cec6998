"""Shortens a conversation by whole turns, so that it fits the model's context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from rkllm_twisted.chat.messages import Conversation
from rkllm_twisted.errors import InvalidParams

Made = TypeVar("Made")


@attrs.frozen
class TokenCount:
    """The number of tokens of a prompt.

    :param exact: False if the prompt may have more tokens.
    :param of_images: how many of them are the rows of images.
    """

    tokens: int
    exact: bool = True
    of_images: int = 0

    def __str__(self) -> str:
        text = f"{self.tokens} tokens" if self.exact else f"{self.tokens} tokens or more"
        return f"{text}, {self.of_images} of them of images," if self.of_images else text


@attrs.frozen
class Fitted(Generic[Made]):
    """The prompt for as much of a conversation as fits.

    :param prompt: the prompt.
    :param dropped: how many messages were left out.
    """

    prompt: Made
    dropped: int


def fit(
    messages: Conversation,
    make: Callable[[Conversation], Made],
    count: Callable[[Made], TokenCount],
    *,
    context: int,
    max_new_tokens: int | None,
    truncate: bool,
) -> Fitted[Made]:
    """Return the prompt for a conversation. Leave out its oldest turns if it is too long.

    :param make: a function that makes a prompt of messages.
    :param count: a function that counts a prompt's tokens. A lower bound is enough if the prompt is
        certainly too long.
    :param context: how many tokens the model has room for, with those of the answer.
    :param max_new_tokens: the limit of the answer's tokens. If turns are left out, room for the
        answer is kept.
    :param truncate: False to refuse a conversation that does not fit.
    :raises InvalidParams: the conversation does not fit; the error has the numbers.
    """
    made = make(messages)
    tokens = count(made)
    if tokens.tokens < context:
        return Fitted(made, 0)
    if not truncate:
        raise _too_long(
            "The conversation",
            "leave messages out, or ask with truncate to lose the oldest turns",
            tokens,
            context,
        )
    # At least half of the context is for the conversation.
    room = context - min(max_new_tokens or context // 4, context // 2)
    system, starts = _turns(messages)

    def fits(turns: int) -> bool:
        return count(make((*system, *messages[starts[-turns] :]))).tokens <= room

    # Start with the newest turns. So the work grows with the context, not with the conversation.
    keep, too_many = 1, 2
    while too_many < len(starts) and fits(too_many):
        keep, too_many = too_many, 2 * too_many
    too_many = min(too_many, len(starts))  # all turns together are known not to fit
    while too_many - keep > 1:
        middle = (keep + too_many) // 2
        keep, too_many = (middle, too_many) if fits(middle) else (keep, middle)
    start = starts[-keep]
    made = make((*system, *messages[start:]))
    if count(made).tokens >= context:
        raise _too_long("The last turn alone", "make it shorter", count(made), context)
    return Fitted(made, start - len(system))


def _turns(messages: Conversation) -> tuple[Conversation, list[int]]:
    """Return the system messages at the beginning, and the index at which each turn begins.

    A turn is a user's message and all messages up to the next one: answers, calls and results.
    """
    first = next(at for at, one in enumerate(messages) if one.role != "system")
    starts = [at for at, one in enumerate(messages) if at == first or one.role == "user"]
    return messages[:first], starts


def _too_long(what: str, remedy: str, count: TokenCount, context: int) -> InvalidParams:
    return InvalidParams(
        f"{what} has {count} and the model's context is {context}: {remedy}.",
        {
            "parameter": "messages",
            "reason": "context_length",
            "prompt_tokens": count.tokens,
            "context": context,
        },
    )
