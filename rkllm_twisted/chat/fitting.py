"""Fitting a conversation into the model's context, by whole turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from rkllm_twisted.chat.messages import Conversation
from rkllm_twisted.errors import InvalidParams

Made = TypeVar("Made")


@attrs.frozen
class TokenCount:
    """How many tokens a prompt has.

    :param exact: False if there may be more.
    """

    tokens: int
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.tokens} tokens" if self.exact else f"{self.tokens} tokens or more"


@attrs.frozen
class Fitted(Generic[Made]):
    """What was made of as much of a conversation as fits.

    :param prompt: that was made.
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
    """Make the prompt of a conversation, without its oldest turns if need be.

    :param make: makes the prompt of messages.
    :param count: of its tokens; of what is certainly too long, a lower bound will do.
    :param context: tokens that there is room for, the answer's included.
    :param max_new_tokens: of the answer; room for them is left when turns are left out.
    :param truncate: False to refuse what does not fit.
    :raises InvalidParams: it does not fit, with the figures.
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
    # Half of the context at least is for the conversation.
    room = context - min(max_new_tokens or context // 4, context // 2)
    system, starts = _turns(messages)

    def fits(turns: int) -> bool:
        return count(make((*system, *messages[starts[-turns] :]))).tokens <= room

    # From the newest on, so that the work grows with the context and not with the conversation.
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
    """Return the system messages at the beginning, and where each turn begins.

    A turn is what a user says and all that follows: answers, calls, their results.
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
