"""``chat.render``."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod


@attrs.frozen
class Params:
    """The parameters of the method.

    :param messages: the conversation, see chat.complete.
    :param model: a model by its name or alias; null for the loaded one.
    :param tools: the functions that the model may call, see chat.complete.
    :param tool_choice: see chat.complete.
    :param enable_thinking: see chat.complete.
    :param truncate: see chat.complete.
    :param max_new_tokens: the room to keep for the answer, if turns are left out.
    """

    messages: list[Any]
    model: str | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    enable_thinking: bool | None = None
    truncate: bool = False
    max_new_tokens: int | None = None


@implementer(IPlugin, IRPCMethod, INeedsModel)
@attrs.frozen
class ChatRender:
    """Shows the prompt of a conversation."""

    name = "chat.render"
    summary = "Show what the model would read of a conversation, with the marks."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Prepare it in a thread."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


chat_render = ChatRender()
