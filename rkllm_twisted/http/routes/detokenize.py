"""``POST /detokenize``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.fields import DETOKENIZE
from rkllm_twisted.http.openai.tokens import read_detokenize
from rkllm_twisted.http.routes._answers import name_ignored
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http.translation.reading import model_name
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Detokenize:
    """Decodes tokens."""

    methods = ("POST",)
    paths = ("/detokenize", "/v1/detokenize")
    summary = "Return the text of tokens."
    api = "openai"
    is_open = False
    request = body_schema(DETOKENIZE, ("tokens",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        body = exchange.json()
        params, ignored = read_detokenize(body)
        target = await exchange.daemons.find(model_name(body), exchange.client)
        name_ignored(exchange, ignored)
        result = await target.call("tokens.decode", params)
        exchange.send_json({"content": result["text"]})


detokenize = Detokenize()
