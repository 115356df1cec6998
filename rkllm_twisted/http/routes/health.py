"""``GET /health``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Health:
    """Says that the service itself runs, whatever its daemons do."""

    methods = ("GET",)
    paths = ("/health", "/v1/health")
    summary = "Say that the service runs."
    api = "openai"
    is_open = True
    request = None
    response = OBJECT

    def respond(self, exchange: IExchange) -> None:
        """Answer at once."""
        exchange.send_json({"status": "ok"})


health = Health()
