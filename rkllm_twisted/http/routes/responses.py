"""``POST /v1/responses``."""

from __future__ import annotations

import secrets
import time
from contextlib import aclosing

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError, RPCError, Unreachable
from rkllm_twisted.http.error_table import http_error
from rkllm_twisted.http.openai.response_answer import ResponseEvents, ResponseLabel
from rkllm_twisted.http.openai.response_call import ResponseCall, read_response
from rkllm_twisted.http.openai.responses_fields import RESPONSES
from rkllm_twisted.http.routes._answers import name_ignored
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.streams import Stream
from rkllm_twisted.http.target import Target
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

METHOD = "chat.complete"


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


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
        call = read_response(exchange.json())
        stream = exchange.events() if call.stream else None
        target = await exchange.daemons.find(call.model, exchange.client)
        call = call.for_release(target.link.samples)
        name_ignored(exchange, call.ignored)
        name = target.model.name
        label = ResponseLabel(_new_id("resp"), name, int(time.time()), call.body, _new_id)
        if stream is None:
            result = await target.call(METHOD, call.params)
            if result["flattened"]:
                exchange.set_header("X-RKLLM-History", "flattened")
            exchange.send_json(label.whole(result))
            return
        events = ResponseEvents(label)
        try:
            await _stream(stream, target, call, events)
        except (HTTPError, RPCError, Unreachable) as error:
            if stream.has_begun:
                failed = error if isinstance(error, HTTPError) else http_error(error)
                stream.write(events.failed(failed), "response.failed")
            raise


async def _stream(
    stream: Stream, target: Target, call: ResponseCall, events: ResponseEvents
) -> None:
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


responses = Responses()
