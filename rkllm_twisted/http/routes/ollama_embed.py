"""``POST /api/embed``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.ollama.embed import embed_answer, read_embed
from rkllm_twisted.http.ollama.fields import EMBED
from rkllm_twisted.http.routes._ollama import embed, stopwatch
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaEmbed:
    """Makes embeddings of texts."""

    methods = ("POST",)
    paths = ("/api/embed",)
    summary = "Make an embedding of each text."
    api = "ollama"
    is_open = False
    request = body_schema(EMBED, ("model",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        elapsed_ns = stopwatch(exchange)
        name, result = await embed(exchange, read_embed(exchange.json()))
        exchange.send_json(embed_answer(name, result, elapsed_ns()))


ollama_embed = OllamaEmbed()
