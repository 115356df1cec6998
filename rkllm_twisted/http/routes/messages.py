"""``POST /v1/messages``."""

from __future__ import annotations

import secrets
from contextlib import aclosing

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.anthropic.answer import MessageEvents, message_answer
from rkllm_twisted.http.anthropic.call import read_message_call
from rkllm_twisted.http.anthropic.fields import MESSAGES
from rkllm_twisted.http.routes._answers import name_ignored
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.translation.fields import body_schema
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
        call = read_message_call(exchange.json())
        stream = exchange.events() if call.stream else None
        target = await exchange.daemons.find(call.model, exchange.client)
        call = call.for_release(target.link.samples)
        name_ignored(exchange, call.ignored)
        message_id = f"msg_{secrets.token_hex(12)}"
        name = call.model or target.model.name
        if stream is None:
            result = await target.call(METHOD, call.params)
            if result["flattened"]:
                exchange.set_header("X-RKLLM-History", "flattened")
            exchange.send_json(message_answer(message_id, name, result))
            return
        events = MessageEvents(message_id, name)
        has_begun = False
        async with aclosing(target.stream(METHOD, call.params)) as pieces:
            async for piece in pieces:
                made = [] if has_begun else [*events.first()]
                has_begun = True  # until now an error has a status of its own
                if "finish_reason" in piece:
                    made += events.last(piece)
                else:
                    made += events.piece(piece)
                for event in made:
                    await stream.send(event, event["type"])


messages = AnthropicMessages()
