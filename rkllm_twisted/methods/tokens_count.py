"""``tokens.count``."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod


@attrs.frozen
class Params:
    """The parameters of the method.

    :param text: the text; or messages.
    :param messages: the conversation, see chat.complete.
    :param model: a model by its name or alias; null for the loaded one.
    :param tools: the functions that the model may call, see chat.complete.
    :param tool_choice: see chat.complete.
    :param enable_thinking: see chat.complete.
    :param marks: read the texts of control tokens as such; otherwise they are letters.
    """

    text: str | None = None
    messages: list[Any] | None = None
    model: str | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    enable_thinking: bool | None = None
    marks: bool = False


@implementer(IPlugin, IRPCMethod, INeedsModel)
@attrs.frozen
class TokensCount:
    """Counts tokens."""

    name = "tokens.count"
    summary = "How many tokens a text or a conversation has for a model."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Prepare it in a thread."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


tokens_count = TokensCount()
