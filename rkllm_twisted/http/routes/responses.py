"""``POST /v1/responses``."""

from __future__ import annotations

import time

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError, InvalidParams, RPCError, Unreachable
from rkllm_twisted.http.error_table import http_error
from rkllm_twisted.http.openai.response_answer import ResponseEvents, ResponseLabel
from rkllm_twisted.http.openai.response_call import NAMES, read_response
from rkllm_twisted.http.openai.responses_fields import RESPONSES
from rkllm_twisted.http.routes._answers import find, make_run, new_id, stream_run
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http.translation.names import with_own_names
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

METHOD = "chat.complete"


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Responses:
    """Answers a conversation, and stores nothing."""

    methods = ("POST",)
    paths = ("/v1/responses", "/responses")
    summary = "Answer a conversation; nothing is stored."
    api = "openai"
    is_open = False
    request = body_schema(RESPONSES, ("input",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the results."""
        try:
            await self._respond(exchange)
        except InvalidParams as error:
            raise with_own_names(error, NAMES) from None

    async def _respond(self, exchange: IExchange) -> None:
        body = exchange.json()
        call = read_response(body)
        stream = exchange.events() if call.stream else None
        target, call = await find(exchange, call)
        name = target.model.name
        label = ResponseLabel(new_id("resp"), name, int(time.time()), body, new_id)
        if stream is None:
            result = await make_run(exchange, target, METHOD, call.params)
            exchange.send_json(label.whole(result))
            return
        events = ResponseEvents(label)
        try:
            await stream_run(stream, target, METHOD, call.params, events, has_names=True)
        except (HTTPError, RPCError, Unreachable) as error:
            if stream.has_begun:
                failed = error if isinstance(error, HTTPError) else http_error(error)
                stream.write(events.failed(failed), "response.failed")
            raise


responses = Responses()
