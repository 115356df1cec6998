"""Fits a conversation into the model's context, by whole turns."""

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

    :param exact: False if the prompt may have more.
    """

    tokens: int
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.tokens} tokens" if self.exact else f"{self.tokens} tokens or more"


@attrs.frozen
class Fitted(Generic[Made]):
    """The prompt of the part of a conversation that fits.

    :param prompt: the prompt.
    :param dropped: the number of messages that were left out.
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
    """Make the prompt of a conversation; leave out the oldest turns if it is too long.

    :param make: makes the prompt of messages.
    :param count: counts its tokens; a lower bound will do if the prompt is certainly too long.
    :param context: the room for tokens, the answer's included.
    :param max_new_tokens: the answer's limit; if turns are left out, the answer gets that room.
    :param truncate: False to refuse a conversation that does not fit.
    :raises InvalidParams: it does not fit; the text has the figures.
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
    # The conversation gets at least half of the context.
    room = context - min(max_new_tokens or context // 4, context // 2)
    system, starts = _turns(messages)

    def fits(turns: int) -> bool:
        return count(make((*system, *messages[starts[-turns] :]))).tokens <= room

    # From the newest turn on: the work grows with the context, not with the conversation.
    keep, too_many = 1, 2
    while too_many < len(starts) and fits(too_many):
        keep, too_many = too_many, 2 * too_many
    too_many = min(too_many, len(starts))  # all of them are known not to fit
    while too_many - keep > 1:
        middle = (keep + too_many) // 2
        keep, too_many = (middle, too_many) if fits(middle) else (keep, middle)
    start = starts[-keep]
    made = make((*system, *messages[start:]))
    if count(made).tokens >= context:
        raise _too_long("The last turn alone", "make it shorter", count(made), context)
    return Fitted(made, start - len(system))


def _turns(messages: Conversation) -> tuple[Conversation, list[int]]:
    """Return the system messages at the beginning, and the beginning of each turn.

    A turn is a user message with all that follows: answers, calls, their results.
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
