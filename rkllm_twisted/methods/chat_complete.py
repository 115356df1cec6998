"""``chat.complete``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """What it takes.

    :param messages: the conversation, in the form of OpenAI's API: role (system, developer, user,
        assistant or tool), content (text or parts) … The last one is of role user or tool. A part
        of a user's or tool's message may be an image, a data: URI or a file, if an encoder is
        loaded.
    :param model: a model by its name or alias; null for the loaded one.
    :param tools: the functions that the model may call, in the form of OpenAI's API.
    :param tool_choice: auto (as without it), none, required, or an object that names a function.
    :param response_format: an object with a type: text (as without it), json_object, json_schema
        (with json_schema, an object whose schema is a JSON schema), regex, choices or grammar (each
        with a member of that name, see text.structured).
    :param sampling: fields of RKLLMSamplingParam, from release 1.3.0 on; with a form on any
        release, and then seed, too.
    :param max_new_tokens: the most tokens of the answer.
    :param stop: a text, or up to 16, of at most 1,000 characters each; the answer ends before the
        first that it would contain.
    :param enable_thinking: true to let the model reason first, false to not; null: it decides.
    :param truncate: leave out the oldest turns if the conversation is too long for the model.
    :param lora: the name of a loaded LoRA adapter.
    :param stream: send the answer in pieces while the model writes it.
    :param conversation: a name that requests of one conversation share, such as a UUID. Such
        requests that wait are served one after the other. Without it, the messages show it.
    """

    messages: list[Any]
    model: str | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    response_format: Any = None
    sampling: Mapping[str, Any] | None = None
    max_new_tokens: int | None = None
    stop: Any = None
    enable_thinking: bool | None = None
    truncate: bool = False
    lora: str | None = None
    stream: bool = False
    conversation: str | None = None


@implementer(IPlugin, IRPCMethod, INeedsModel, IUsesNPU)
@attrs.frozen
class ChatComplete:
    """Answers a conversation, which the client sends whole with each request."""

    name = "chat.complete"
    summary = "Answer a conversation of messages, whatever other clients ask in between."
    params = Params
    streams = True

    def call(self, call: ICall) -> object:
        """Queue one turn of the NPU."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


chat_complete = ChatComplete()
