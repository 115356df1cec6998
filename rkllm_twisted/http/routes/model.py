"""``GET /v1/models/{model}``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.routes.models import described
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class ModelByName:
    """Shows one model."""

    methods = ("GET",)
    paths = ("/v1/models/{model}", "/models/{model}")
    summary = "Show one model."
    api = "openai"
    is_open = False
    request = None
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Find it by its name, which may hold slashes and colons."""
        target = await exchange.daemons.find(exchange.params["model"], exchange.client)
        exchange.send_json(described(target.model))


model = ModelByName()
