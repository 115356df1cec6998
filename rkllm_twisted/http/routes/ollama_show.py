"""``POST /api/show``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.ollama.fields import SHOW
from rkllm_twisted.http.ollama.models import show_answer
from rkllm_twisted.http.routes._ollama import asked_name, facts_of, find
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema, ignored_fields
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaShow:
    """Shows what is known of a model."""

    methods = ("POST",)
    paths = ("/api/show",)
    summary = "Show template, settings and capabilities of a model."
    api = "ollama"
    is_open = False
    request = body_schema(SHOW, ("model",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Ask the model's daemon, unless the model has no name there."""
        body = exchange.json()
        name = asked_name(body)
        exchange.name_ignored(ignored_fields(body, SHOW))
        target = await find(exchange, name)
        facts = facts_of(target.model)
        if target.model.target is not None:
            facts = attrs.evolve(facts, raw=await target.call("models.show", {}))
        exchange.send_json(show_answer(facts))


ollama_show = OllamaShow()
