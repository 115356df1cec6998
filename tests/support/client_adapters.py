"""Both clients behind one awaitable interface, for the contract that they share.

The blocking client is driven in threads, one call at a time; the reactor goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from rkllm_twisted import blocking, client

_END = object()
STREAMS = ("run_async", "chat_stream", "stream")


class BlockingTalker:
    """The blocking client, called in threads."""

    module = blocking

    def __init__(self, client: blocking.Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, path: Path | str, **kwargs: Any) -> BlockingTalker:
        """Connect to the socket at a path."""
        return cls(await deferToThread(blocking.Client, path, **kwargs))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        if name in STREAMS:
            return lambda *args, **kwargs: self._stream(method(*args, **kwargs))
        return lambda *args, **kwargs: deferToThread(method, *args, **kwargs)

    @staticmethod
    async def _stream(results: Any) -> AsyncGenerator[Any, None]:
        try:
            while (result := await deferToThread(next, results, _END)) is not _END:
                yield result
        finally:
            results.close()


class TwistedTalker:
    """The client for Twisted."""

    def __init__(self, client: client.Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, path: Path | str, **kwargs: Any) -> TwistedTalker:
        """Connect to the socket at a path."""
        return cls(await client.connect(reactor, f"unix:{path}", **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


TALKERS = {"blocking": BlockingTalker, "twisted": TwistedTalker}
