"""``POST /v1/rerank``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.fields import RERANK
from rkllm_twisted.http.openai.rerank import read_rerank, rerank_answer
from rkllm_twisted.http.routes._answers import ask, label_for
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Rerank:
    """Scores documents."""

    methods = ("POST",)
    paths = ("/v1/rerank", "/rerank", "/v1/reranking", "/reranking")
    summary = "Score how well each document answers a query."
    api = "openai"
    is_open = False
    request = body_schema(RERANK, ("query", "documents"))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        target, result = await ask(exchange, "rerank.score", read_rerank(exchange.json()))
        answer_id = label_for(target, "rerank").id
        exchange.send_json(rerank_answer(answer_id, target.model.name, result))


rerank = Rerank()
