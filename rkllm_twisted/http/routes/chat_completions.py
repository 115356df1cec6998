"""``POST /v1/chat/completions``."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

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
from rkllm_twisted.http.routes._answers import label_for, name_ignored
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
        target = await exchange.daemons.find(call.model, exchange.client)
        call = call.for_release(target.link.samples)
        name_ignored(exchange, call.ignored)
        label = label_for(target, "chatcmpl")
        if stream is not None:
            await _stream(stream, target, call, label)
            return
        results = [await target.call(METHOD, call.params) for _ in range(call.n)]
        if results[-1]["flattened"]:
            exchange.set_header("X-RKLLM-History", "flattened")
        exchange.send_json(chat_completion(label, results))


async def _stream(stream: Stream, target: Target, call: ChatCall, label: Label) -> None:
    results: list[Any] = []
    for index in range(call.n):
        chunks = ChatChunks(label, index, call.include_usage)
        has_begun = False
        async with aclosing(target.stream(METHOD, call.params)) as pieces:
            async for piece in pieces:
                if not has_begun:  # until now an error has a status of its own
                    await stream.send(chunks.first())
                    has_begun = True
                if "finish_reason" in piece:
                    results.append(piece)
                    made = chunks.last(piece)
                else:
                    made = chunks.piece(piece)
                for chunk in made:
                    await stream.send(chunk)
    if call.include_usage:
        await stream.send(usage_chunk(label, results))
    await stream.send(b"[DONE]")


chat_completions = ChatCompletions()
