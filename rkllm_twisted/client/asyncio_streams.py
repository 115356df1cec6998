"""Streams for asyncio tasks, which cannot wait for Deferreds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


async def for_asyncio(results: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Give the results of a stream to an asyncio task, on Twisted's asyncio reactor.

    Leaving the loop and cancelling the task cancel the request, as in Twisted. What gives a
    Deferred needs no help: ``await client.run("Hello").asFuture(loop)``.

    :param results: what ``run_async`` or ``stream`` gives.
    """
    loop = asyncio.get_running_loop()

    async def following() -> T:
        return await results.__anext__()

    try:
        while True:
            try:
                result = await Deferred.fromCoroutine(following()).asFuture(loop)
            except StopAsyncIteration:
                return
            yield result
    finally:
        await results.aclose()  # this waits for nothing, so that asyncio may drive it
