"""``POST /apply-template``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.fields import APPLY_TEMPLATE
from rkllm_twisted.http.openai.tokens import read_apply_template
from rkllm_twisted.http.routes._answers import name_ignored
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http.translation.reading import model_name
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
        body = exchange.json()
        params, ignored = read_apply_template(body)
        target = await exchange.daemons.find(model_name(body), exchange.client)
        name_ignored(exchange, ignored)
        result = await target.call("chat.render", params)
        exchange.send_json({"prompt": result["text"]})


apply_template = ApplyTemplate()
