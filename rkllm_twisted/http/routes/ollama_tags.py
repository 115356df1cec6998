"""``GET /api/tags``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.ollama.models import tag_entry
from rkllm_twisted.http.routes._ollama import facts_of
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaTags:
    """Lists the models of all daemons."""

    methods = ("GET",)
    paths = ("/api/tags",)
    summary = "List the models of all daemons."
    api = "ollama"
    is_open = False
    request = None
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Ask the daemons anew."""
        models = await exchange.daemons.models()
        usable = [tag_entry(facts_of(model)) for model in models if not model.problems]
        exchange.send_json({"models": usable})


ollama_tags = OllamaTags()
