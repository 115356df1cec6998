"""``POST /api/embeddings``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.ollama.embed import embeddings_answer, read_embeddings
from rkllm_twisted.http.ollama.fields import EMBEDDINGS
from rkllm_twisted.http.routes._ollama import embed
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaEmbeddings:
    """Makes an embedding of a text, in the older form."""

    methods = ("POST",)
    paths = ("/api/embeddings",)
    summary = "Make an embedding of one text (old; use /api/embed)."
    api = "ollama"
    is_open = False
    request = body_schema(EMBEDDINGS, ("model",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        _, result = await embed(exchange, read_embeddings(exchange.json()))
        exchange.send_json(embeddings_answer(result))


ollama_embeddings = OllamaEmbeddings()
