"""``GET /v1/models``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.models import model_list, model_object
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.served_models import ServedModel
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


def described(model: ServedModel) -> dict[str, object]:
    """Return a model in OpenAI's form."""
    return model_object(model.name, model.created, model.context, model.raw, model.loaded)


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Models:
    """Lists the models of all daemons."""

    methods = ("GET",)
    paths = ("/v1/models", "/models")
    summary = "List the models of all daemons."
    api = "openai"
    is_open = False
    request = None
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Ask the daemons anew."""
        models = await exchange.daemons.models()
        usable = (model for model in models if not model.problems)
        exchange.send_json(model_list(described(model) for model in usable))


models = Models()
