"""``POST /v1/chat/completions``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.chat import ChatCall, read_chat
from rkllm_twisted.http.openai.chat_answer import (
    ChatChunks,
    Label,
    chat_completion,
    usage_chunk,
)
from rkllm_twisted.http.openai.fields import CHAT
from rkllm_twisted.http.routes._answers import find, label_for, make_run, stream_run
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.streams import Stream
from rkllm_twisted.http.target import Target
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

METHOD = "chat.complete"


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class ChatCompletions:
    """Answers a conversation."""

    methods = ("POST",)
    paths = ("/v1/chat/completions", "/chat/completions")
    summary = "Answer a conversation."
    api = "openai"
    is_open = False
    request = body_schema(CHAT, ("messages",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request, and the results of one run for each answer."""
        call = read_chat(exchange.json())
        stream = exchange.events() if call.stream else None
        target, call = await find(exchange, call)
        label = label_for(target, "chatcmpl")
        if stream is not None:
            await _stream(stream, target, call, label)
            return
        results = [await make_run(exchange, target, METHOD, call.params) for _ in range(call.n)]
        exchange.send_json(chat_completion(label, results))


async def _stream(stream: Stream, target: Target, call: ChatCall, label: Label) -> None:
    chunks = [ChatChunks(label, index, call.include_usage) for index in range(call.n)]
    results = [await stream_run(stream, target, METHOD, call.params, one) for one in chunks]
    if call.include_usage:
        await stream.send(usage_chunk(label, results))
    await stream.send(b"[DONE]")


chat_completions = ChatCompletions()
