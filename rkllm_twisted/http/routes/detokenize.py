"""``POST /detokenize``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.fields import DETOKENIZE
from rkllm_twisted.http.openai.tokens import read_detokenize
from rkllm_twisted.http.routes._answers import ask
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
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
        _, result = await ask(exchange, "tokens.decode", read_detokenize(exchange.json()))
        exchange.send_json({"content": result["text"]})


detokenize = Detokenize()
