"""A daemon that streams many answers at once, as no NPU does: what an HTTP service adds to them.

``python -m benchmarks.http.paced SOCKET RATE TOKENS``: each answer has so many tokens, at a steady
pace. A token's text is the time when it was due, in microseconds of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from rkllm_twisted.wire.framing import Kind, Netstrings, netstring, sniff
from rkllm_twisted.wire.lines import Lines, line

_STATUS = {"state": "loaded", "model_path": "/paced", "model": "model"}
_MODEL = {
    "name": "model", "aliases": [], "kind": "chat", "capabilities": ["completion"], "context": None,
    "size": 0, "modified": "", "digest": None, "loaded": True, "problems": [],
}  # fmt: skip
#: Method -> its result.
_RESULTS: Mapping[str, Any] = {
    "server.configure": {"stream": "notifications", "floats": "json"},
    "server.ping": "pong",
    "server.status": _STATUS,
    "server.version": {"version": "0", "runtime": {"abi": "1.3.0"}},
    "models.list": {"models": [_MODEL], "problems": []},
}
_USAGE = dict.fromkeys(
    ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens"), 1
)
_END = {
    "model": "model", "message": {"role": "assistant", "content": ""}, "finish_reason": "stop",
    "tier": "runtime", "flattened": False, "changes": [], "dropped_messages": 0,
    "usage": {**_USAGE, "prefill_ms": 1.0, "generate_ms": 1.0},
}  # fmt: skip


#: Spread the streams' beginnings evenly, as those of independent NPUs are.
_GOLDEN = 0.618034
_numbers = itertools.count()


class Connection(asyncio.Protocol):
    """A client's connection, in either framing and either form of streams."""

    def __init__(self, rate: float, tokens: int) -> None:
        self._pause = 1 / rate
        self._tokens = tokens
        self._receiver: Netstrings | Lines | None = None
        self._frame: Callable[[bytes], bytes] = line
        self._notifies = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the requests."""
        if self._receiver is None:
            is_netstring = sniff(data) is Kind.NETSTRINGS
            self._receiver = Netstrings() if is_netstring else Lines()
            self._frame = netstring if is_netstring else line
        for message in self._receiver.feed(data):
            request = msgspec.json.decode(message)
            method = request["method"]
            if method in _RESULTS:
                self._notifies |= method == "server.configure"
                self._send({"id": request["id"], "result": _RESULTS[method]})
            elif "id" in request:
                begins = self._pause * (next(_numbers) * _GOLDEN % 1)
                loop = asyncio.get_running_loop()
                due = loop.time() + begins
                loop.call_at(due, partial(self._go_on, request["id"], due, self._tokens))

    def _go_on(self, number: int, due: float, left: int) -> None:
        """Send a token, or the end."""
        if self._transport.is_closing():
            return
        if not left:
            self._send({"id": number, "result": _END})
            return
        result = {"content": f"{due * 1e6:.0f}"}
        if self._notifies:
            self._send({"method": "rkllm.result", "params": {"id": number, "result": result}})
        else:
            self._send({"id": number, "result": result})
        due += self._pause
        later = partial(self._go_on, number, due, left - 1)
        asyncio.get_running_loop().call_at(due, later)

    def _send(self, members: Mapping[str, Any]) -> None:
        self._transport.write(self._frame(msgspec.json.encode({"jsonrpc": "2.0", **members})))


async def main(path: str, rate: float, tokens: int) -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(partial(Connection, rate, tokens), path, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
