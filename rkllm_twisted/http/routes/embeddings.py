"""``POST /v1/embeddings``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.embeddings import embeddings_answer, read_embeddings
from rkllm_twisted.http.openai.fields import EMBEDDINGS
from rkllm_twisted.http.routes._answers import name_ignored
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http.translation.reading import model_name
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
        body = exchange.json()
        params, ignored = read_embeddings(body)
        target = await exchange.daemons.find(model_name(body), exchange.client)
        name_ignored(exchange, ignored)
        result = await target.call("embeddings.create", params)
        exchange.send_json(embeddings_answer(target.model.name, result))


embeddings = OpenAIEmbeddings()
