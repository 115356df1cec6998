"""``POST /v1/messages``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.http.anthropic.answer import MessageEvents, message_answer
from rkllm_twisted.http.anthropic.call import NAMES, read_message_call
from rkllm_twisted.http.anthropic.fields import MESSAGES
from rkllm_twisted.http.routes._answers import find, make_run, new_id, stream_run
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http.translation.names import with_own_names
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

METHOD = "chat.complete"


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class AnthropicMessages:
    """Answers a conversation."""

    methods = ("POST",)
    paths = ("/v1/messages",)
    summary = "Answer a conversation."
    api = "anthropic"
    is_open = False
    request = body_schema(MESSAGES, ("messages", "max_tokens"))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request and the results."""
        try:
            await self._respond(exchange)
        except InvalidParams as error:
            raise with_own_names(error, NAMES) from None

    async def _respond(self, exchange: IExchange) -> None:
        call = read_message_call(exchange.json())
        stream = exchange.events() if call.stream else None
        target, call = await find(exchange, call)
        message_id, name = new_id("msg"), call.model or target.model.name
        if stream is None:
            result = await make_run(exchange, target, METHOD, call.params)
            exchange.send_json(message_answer(message_id, name, result))
            return
        events = MessageEvents(message_id, name)
        await stream_run(stream, target, METHOD, call.params, events, has_names=True)


messages = AnthropicMessages()
