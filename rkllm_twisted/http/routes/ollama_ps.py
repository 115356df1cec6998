"""``GET /api/ps``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.ollama.models import ps_entry
from rkllm_twisted.http.routes._ollama import facts_of
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaPs:
    """Lists the models that are loaded."""

    methods = ("GET",)
    paths = ("/api/ps",)
    summary = "List the models that are loaded."
    api = "ollama"
    is_open = False
    request = None
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Ask the daemons anew."""
        models = await exchange.daemons.models()
        loaded = [ps_entry(facts_of(model)) for model in models if model.loaded]
        exchange.send_json({"models": loaded})


ollama_ps = OllamaPs()
