"""``POST /api/chat``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.ollama.chat import read_chat
from rkllm_twisted.http.ollama.fields import CHAT
from rkllm_twisted.http.routes._ollama import answer
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaChat:
    """Answers a conversation."""

    methods = ("POST",)
    paths = ("/api/chat",)
    summary = "Answer a conversation, in lines unless stream is false."
    api = "ollama"
    is_open = False
    request = body_schema(CHAT, ("model",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the results."""
        await answer(exchange, read_chat(exchange.json()), is_chat=True)


ollama_chat = OllamaChat()
