"""Ask a model from an asyncio program: python asyncio_client.py "What is a list?"

The daemon's socket is $RKLLM_UDS_PATH or /tmp/rkllm.sock; it has loaded a model.
"""

from __future__ import annotations

import asyncio
import sys

from twisted.internet import asyncioreactor

from rkllm_twisted.client import connect, for_asyncio


async def main(prompt: str) -> None:
    """Print the answer as it comes, and its speed, while something else goes on."""
    loop = asyncio.get_running_loop()
    asyncioreactor.install(loop)
    from twisted.internet import reactor  # noqa: PLC0415 - it is the one that was just installed

    client = await connect(reactor).asFuture(loop)
    clock = asyncio.create_task(ticking())
    async for chunk in for_asyncio(client.run_async(prompt)):
        print(chunk.text, end="", flush=True)
        last = chunk
    clock.cancel()
    status = await client.status().asFuture(loop)
    speed = f"{last.perf.generate_rate:.0f} tokens/s" if last.perf else "done"
    print(f"\n{speed}, {status.backend}")
    await client.close().asFuture(loop)


async def ticking() -> None:
    """Stand for the rest of the program, which is asyncio's own."""
    while True:
        await asyncio.sleep(0.01)


asyncio.run(main(*sys.argv[1:]))
