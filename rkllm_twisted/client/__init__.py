"""The client for Twisted programs, and for asyncio programs on Twisted's asyncio reactor::

    client = await connect(reactor)
    async for chunk in client.run_async("Hello"):
        print(chunk.text, end="")

See ``docs/clients.md``.
"""

from rkllm_twisted.client.connecting import RKLLMClientService, connect
from rkllm_twisted.client.for_asyncio import for_asyncio
from rkllm_twisted.client.protocol import Client

__all__ = ["Client", "RKLLMClientService", "connect", "for_asyncio"]
