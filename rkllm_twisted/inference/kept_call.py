"""What of a call that the model has begun may stay, and how it goes on. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from rkllm_twisted.chat.tool_calls import OpenCall
from rkllm_twisted.chat.tools import Tools
from rkllm_twisted.constraint_interfaces import IConstraint
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.inference.free_run import place_of_end, text_of_tokens
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.structured.begun_call import rest_of_call


@attrs.frozen
class KeptCall:
    """What of a begun call stays.

    :param constraint: what the rest of the call has to keep to.
    :param kept: the tokens of the answer up to here.
    :param is_whole: True if these are all that the model has written.
    :param text: the text of those that the parser has not read.
    """

    constraint: IConstraint
    kept: Sequence[int]
    is_whole: bool
    text: str


def kept_call(
    tokens: ModelTokens, tools: Tools, came: Sequence[int], cut_at: int, call: OpenCall
) -> KeptCall | None:
    """Return what stays of a call; None if what the parser has read cannot go on well.

    A call that is written more tersely than the model's template does stays if more of it does.

    :param came: the tokens of the answer.
    :param cut_at: how many of them the parser has read.
    :param call: the call, as far as the parser has read it.
    """
    texts = tokens.table.texts
    at, held = place_of_end(texts, came[:cut_at], call.past)
    chat = tokens.profile.chat
    control = chat.vocabulary.control if chat.vocabulary else {}
    best = None
    for flexible in (False, True):
        form = rest_of_call(tools, chat.tool_format, call, held, control, flexible=flexible)
        try:
            constraint = tokens.constrain(form)
        except InvalidParams:
            return None
        end = at + constraint.consume(came[at:])
        text = text_of_tokens(texts, came[cut_at:end])
        if end < cut_at or text is None:
            continue
        found = KeptCall(constraint, came[:end], end == len(came), text)
        if found.is_whole:
            return found
        best = best or found
    return best
