"""``GET /openapi.json``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted import __version__
from rkllm_twisted.http.openapi import document
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OpenAPIDocument:
    """Describes all routes, those of third parties included."""

    methods = ("GET",)
    paths = ("/openapi.json",)
    summary = "Describe all paths (OpenAPI 3.1)."
    api = "openai"
    is_open = False
    request = None
    response = OBJECT

    def respond(self, exchange: IExchange) -> None:
        """Make the document of the routes."""
        exchange.send_json(document(exchange.routes, __version__))


openapi = OpenAPIDocument()
