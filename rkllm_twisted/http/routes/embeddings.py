"""``POST /v1/embeddings``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.embeddings import embeddings_answer, read_embeddings
from rkllm_twisted.http.openai.fields import EMBEDDINGS
from rkllm_twisted.http.routes._answers import ask
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OpenAIEmbeddings:
    """Makes embeddings of texts."""

    methods = ("POST",)
    paths = ("/v1/embeddings", "/embeddings")
    summary = "Make an embedding of each text."
    api = "openai"
    is_open = False
    request = body_schema(EMBEDDINGS, ("input",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        target, result = await ask(exchange, "embeddings.create", read_embeddings(exchange.json()))
        exchange.send_json(embeddings_answer(target.model.name, result))


embeddings = OpenAIEmbeddings()
