"""FastAPI on uvicorn, as people write it: OpenAI's chat completions from a daemon's socket.

with_fastapi.py PORT SOCKET: one connection to the daemon for each request, in lines of JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

app = FastAPI()


async def results(body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Yield what the daemon answers."""
    reader, writer = await asyncio.open_unix_connection(sys.argv[2])
    params = {"messages": body["messages"], "stream": body.get("stream", False)}
    if "max_tokens" in body:
        params["max_new_tokens"] = body["max_tokens"]
    request = {"jsonrpc": "2.0", "id": 1, "method": "chat.complete", "params": params}
    writer.write(msgspec.json.encode(request) + b"\n")
    result: dict[str, Any] = {}
    while "finish_reason" not in result:
        result = msgspec.json.decode(await reader.readline())["result"]
        yield result
    writer.close()


async def events(body: dict[str, Any]) -> AsyncIterator[bytes]:
    """Yield the events of a stream."""
    label = {"id": f"chatcmpl-{uuid.uuid4()}", "created": int(time.time()), "model": "model"}
    async for result in results(body):
        reason = result.get("finish_reason")
        choice = {"index": 0, "delta": {} if reason else result, "finish_reason": reason}
        chunk = {"object": "chat.completion.chunk", **label, "choices": [choice]}
        yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
    yield b"data: [DONE]\n\n"


@app.post("/v1/chat/completions")
async def chat_completions(request: Request) -> Response:
    """Answer a conversation."""
    body = await request.json()
    if body.get("stream"):
        return StreamingResponse(events(body), media_type="text/event-stream")
    [result] = [result async for result in results(body)]
    choice = {"index": 0, "message": result["message"], "finish_reason": result["finish_reason"]}
    answer = {"object": "chat.completion", "choices": [choice], "usage": result["usage"]}
    return Response(msgspec.json.encode(answer), media_type="application/json")


uvicorn.run(app, port=int(sys.argv[1]))
