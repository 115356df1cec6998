"""``GET /ready``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.errors import NoModel
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Ready:
    """Says whether a model can answer now; the status is 503 if not."""

    methods = ("GET",)
    paths = ("/ready",)
    summary = "Say whether a model is loaded or can be."
    api = "openai"
    is_open = True
    request = None
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Ask the daemons."""
        models = await exchange.daemons.models()
        if all(model.problems for model in models):
            raise NoModel.after(None)
        loaded = any(model.loaded for model in models)
        exchange.send_json({"status": "ready", "loaded": loaded})


ready = Ready()
