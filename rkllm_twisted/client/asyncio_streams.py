"""Streams for asyncio tasks, which cannot await Deferreds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


async def for_asyncio(results: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Return the results of a stream to an asyncio task, on Twisted's asyncio reactor.

    Leaving the loop and cancelling the task cancel the request, as in Twisted. A Deferred does not
    need this function: ``await client.run("Hello").asFuture(loop)``.

    :param results: the return value of ``run_async`` or ``stream``.
    """
    loop = asyncio.get_running_loop()

    async def next_result() -> T:
        return await results.__anext__()

    try:
        while True:
            try:
                result = await Deferred.fromCoroutine(next_result()).asFuture(loop)
            except StopAsyncIteration:
                return
            yield result
    finally:
        await results.aclose()  # it awaits no Deferred, so asyncio can run it
