"""``GET /api/version``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted import __version__
from rkllm_twisted.http.ollama.models import API_VERSION
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaVersion:
    """Names the release of Ollama that clients may take this service for."""

    methods = ("GET",)
    paths = ("/api/version",)
    summary = "Return the release of Ollama with this interface."
    api = "ollama"
    is_open = False
    request = None
    response = OBJECT

    def respond(self, exchange: IExchange) -> None:
        """Answer at once."""
        exchange.send_json({"version": API_VERSION, "rkllm_twisted": __version__})


ollama_version = OllamaVersion()
