"""``POST /tokenize``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.fields import TOKENIZE
from rkllm_twisted.http.openai.tokens import read_tokenize
from rkllm_twisted.http.routes._answers import ask
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Tokenize:
    """Encodes a text."""

    methods = ("POST",)
    paths = ("/tokenize", "/v1/tokenize")
    summary = "Return the tokens of a text."
    api = "openai"
    is_open = False
    request = body_schema(TOKENIZE, ("content",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        _, result = await ask(exchange, "tokens.encode", read_tokenize(exchange.json()))
        exchange.send_json({"tokens": result["tokens"]})


tokenize = Tokenize()
