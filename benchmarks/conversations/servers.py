"""How the daemon and llama.cpp's server are asked: over their sockets, in OpenAI's messages."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from benchmarks.conversations.measure import Answer, Ask
from benchmarks.conversations.texts import Message
from rkllm_twisted.blocking import Client

CONTEXT = 2048
#: The most tokens of an answer, which ends by itself before.
ANSWER = 96
#: The fields of RKLLMParam: the likeliest token each time.
GREEDY = {"top_k": 1, "repeat_penalty": 1.0, "max_new_tokens": ANSWER}

#: The same for llama.cpp's server.
BODY = {
    "max_tokens": ANSWER,
    "temperature": 0,
    "top_k": 1,
    "repeat_penalty": 1.0,
    "stream": True,
    "stream_options": {"include_usage": True},
}
HEADERS = {"Content-Type": "application/json"}


def daemon_asker(client: Client) -> Ask:
    """Return what asks the daemon."""

    def ask(messages: Sequence[Message]) -> Answer:
        begun, first = time.perf_counter(), 0.0
        for piece in client.chat_stream(messages):
            if piece.text and not first:
                first = time.perf_counter() - begun
            result = piece.result
        assert result is not None
        usage = result.usage
        read = usage.prompt_tokens - usage.cached_tokens
        return Answer(result.text, first, usage.prompt_tokens, read, usage.completion_tokens)

    return ask


def peer_asker(address: str) -> Ask:
    """Return what asks llama.cpp's server, with the same sampling."""

    def ask(messages: Sequence[Message]) -> Answer:
        first, text = 0.0, ""
        message = json.dumps({**BODY, "messages": messages})
        with closing(http.client.HTTPConnection(address)) as connection:
            connection.connect()  # the daemon's client is connected already
            begun = time.perf_counter()
            connection.request("POST", "/v1/chat/completions", message, HEADERS)
            for chunk in _chunks(connection.getresponse()):
                more = "".join(each["delta"].get("content") or "" for each in chunk["choices"])
                if more and not text:
                    first = time.perf_counter() - begun
                text += more
                usage, timings = chunk.get("usage"), chunk.get("timings")
        prompt, written = usage["prompt_tokens"], usage["completion_tokens"]
        return Answer(text, first, prompt, timings["prompt_n"], written)

    return ask


def _chunks(lines: Iterable[bytes]) -> Iterator[Any]:
    """Decode the chunks of a stream of events."""
    return (json.loads(line[6:]) for line in lines if line.startswith(b"data: {"))
