"""``POST /v1/rerank``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.fields import RERANK
from rkllm_twisted.http.openai.rerank import read_rerank, rerank_answer
from rkllm_twisted.http.routes._answers import label_for, name_ignored
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http.translation.reading import model_name
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
    request = body_schema(
        RERANK,
        (
            "query",
            "documents",
        ),
    )
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        body = exchange.json()
        params, ignored = read_rerank(body)
        target = await exchange.daemons.find(model_name(body), exchange.client)
        name_ignored(exchange, ignored)
        result = await target.call("rerank.score", params)
        answer_id = label_for(target, "rerank").id
        exchange.send_json(rerank_answer(answer_id, target.model.name, result))


rerank = Rerank()
