"""``POST /apply-template``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.fields import APPLY_TEMPLATE
from rkllm_twisted.http.openai.tokens import read_apply_template
from rkllm_twisted.http.routes._answers import ask
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class ApplyTemplate:
    """Shows the prompt of a conversation."""

    methods = ("POST",)
    paths = ("/apply-template", "/v1/apply-template")
    summary = "Return what the model would read of a conversation."
    api = "openai"
    is_open = False
    request = body_schema(APPLY_TEMPLATE, ("messages",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the result."""
        _, result = await ask(exchange, "chat.render", read_apply_template(exchange.json()))
        exchange.send_json({"prompt": result["text"]})


apply_template = ApplyTemplate()
