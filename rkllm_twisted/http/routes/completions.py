"""``POST /v1/completions``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.http.openai.chat_answer import Label
from rkllm_twisted.http.openai.completions import (
    TextCall,
    TextChunks,
    read_completion,
    text_completion,
    usage_chunk,
)
from rkllm_twisted.http.openai.fields import TEXT_COMPLETION
from rkllm_twisted.http.routes._answers import find, label_for, make_run, stream_run
from rkllm_twisted.http.schemas import OBJECT
from rkllm_twisted.http.streams import Stream
from rkllm_twisted.http.target import Target
from rkllm_twisted.http.translation.fields import body_schema
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
        target, call = await find(exchange, call)
        label = label_for(target, "cmpl")
        if stream is not None:
            await _stream(stream, target, call, label)
            return
        runs = [{**call.params, "prompt": prompt} for prompt in call.prompts]
        results = [await make_run(exchange, target, METHOD, params) for params in runs]
        exchange.send_json(text_completion(label, call, results))


async def _stream(stream: Stream, target: Target, call: TextCall, label: Label) -> None:
    results = []
    for index, prompt in enumerate(call.prompts):
        chunks = TextChunks(label, index, call.echoed(prompt), call.include_usage)
        params = {**call.params, "prompt": prompt}
        results.append(await stream_run(stream, target, METHOD, params, chunks))
    if call.include_usage:
        await stream.send(usage_chunk(label, results))
    await stream.send(b"[DONE]")


completions = Completions()
