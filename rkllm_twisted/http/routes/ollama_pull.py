"""``POST /api/pull``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.ollama.fields import PULL
from rkllm_twisted.http.routes._ollama import asked_name, find
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema, ignored_fields
from rkllm_twisted.http.translation.reading import flag
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

SUCCESS = {"status": "success"}


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class OllamaPull:
    """Succeeds for a model that is there. Nothing is downloaded."""

    methods = ("POST",)
    paths = ("/api/pull",)
    summary = "Succeed if the model is there; nothing is downloaded."
    api = "ollama"
    is_open = False
    request = body_schema(PULL, ("model",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Look for the model."""
        body = exchange.json()
        name = asked_name(body)
        streams = flag(body, "stream") is not False
        exchange.name_ignored(ignored_fields(body, PULL))
        try:
            await find(exchange, name)
        except HTTPError as error:
            if error.code != "model_not_found":
                raise
            what = "nothing is downloaded here: put the model's file into a --model-dir of a daemon"
            raise HTTPError(501, f"{error.message}; {what}", error.kind, error.code) from None
        if streams:
            await exchange.lines().send(SUCCESS)
        else:
            exchange.send_json(SUCCESS)


ollama_pull = OllamaPull()
