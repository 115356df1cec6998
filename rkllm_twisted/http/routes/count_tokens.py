"""``POST /v1/messages/count_tokens``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.anthropic.call import read_count_call
from rkllm_twisted.http.anthropic.fields import COUNT_TOKENS
from rkllm_twisted.http.routes._answers import ask
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class CountTokens:
    """Counts the tokens of a conversation."""

    methods = ("POST",)
    paths = ("/v1/messages/count_tokens",)
    summary = "Count the tokens of a conversation, without an answer."
    api = "anthropic"
    is_open = False
    request = body_schema(COUNT_TOKENS, ("messages",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        _, result = await ask(exchange, "tokens.count", read_count_call(exchange.json()))
        exchange.send_json({"input_tokens": result["count"]})


count_tokens = CountTokens()
