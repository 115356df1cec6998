"""``POST /v1/completions``."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.chat_answer import Label
from rkllm_twisted.http.openai.completions import (
    KIND,
    TextCall,
    read_completion,
    text_choice,
    text_completion,
    total_usage,
)
from rkllm_twisted.http.openai.fields import TEXT_COMPLETION
from rkllm_twisted.http.routes._answers import label_for, name_ignored
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.streams import Stream
from rkllm_twisted.http.target import Target
from rkllm_twisted.http.translation.fields import body_schema
from rkllm_twisted.http.translation.results import check_result
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

METHOD = "text.complete"


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class Completions:
    """Continues texts."""

    methods = ("POST",)
    paths = ("/v1/completions", "/completions")
    summary = "Continue a text as it is, without a chat template."
    api = "openai"
    is_open = False
    request = body_schema(TEXT_COMPLETION, ("prompt",))
    response = OBJECT

    async def respond(self, exchange: IExchange) -> None:
        """Translate the request, and the results of one run for each choice."""
        call = read_completion(exchange.json())
        stream = exchange.events() if call.stream else None
        target = await exchange.daemons.find(call.model, exchange.client)
        call = call.for_release(target.link.samples)
        name_ignored(exchange, call.ignored)
        label = label_for(target, "cmpl")
        if stream is not None:
            await _stream(stream, target, call, label)
            return
        results = [
            await target.call(METHOD, {**call.params, "prompt": prompt}) for prompt in call.prompts
        ]
        exchange.send_json(text_completion(label, call, results))


async def _stream(stream: Stream, target: Target, call: TextCall, label: Label) -> None:
    further = {"usage": None} if call.include_usage else {}
    results: list[Any] = []

    async def send(index: int, text: str, reason: str | None = None) -> None:
        await stream.send(label.body(KIND, [text_choice(index, text, reason)], **further))

    for index, prompt in enumerate(call.prompts):
        before = call.echoed(prompt)
        params = {**call.params, "prompt": prompt}
        async with aclosing(target.stream(METHOD, params)) as pieces:
            async for piece in pieces:
                if "finish_reason" in piece:
                    check_result(piece)
                    results.append(piece)
                    await send(index, before, piece["finish_reason"])
                else:
                    await send(index, before + piece["text"])
                before = ""
    if call.include_usage:
        await stream.send(label.body(KIND, [], usage=total_usage(results)))
    await stream.send(b"[DONE]")


completions = Completions()
