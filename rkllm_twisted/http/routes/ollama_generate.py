"""``POST /api/generate``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.ollama.fields import GENERATE
from rkllm_twisted.http.ollama.generate import read_generate
from rkllm_twisted.http.routes._ollama import answer
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaGenerate:
    """Answers a prompt, or continues a text."""

    methods = ("POST",)
    paths = ("/api/generate",)
    summary = "Answer a prompt, or continue a text, in lines unless stream is false."
    api = "ollama"
    is_open = False
    request = body_schema(GENERATE, ("model",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the results."""
        await answer(exchange, read_generate(exchange.json()), is_chat=False)


ollama_generate = OllamaGenerate()
