"""The client for Twisted programs, and for asyncio programs on Twisted's asyncio reactor::

    client = await connect(reactor)
    async for chunk in client.run_async("Hello"):
        print(chunk.text, end="")

See ``docs/clients.md``.
"""

from rkllm_twisted.client.asyncio_streams import for_asyncio
from rkllm_twisted.client.client import Client
from rkllm_twisted.client.endpoint import RKLLMClientService, connect

__all__ = ["Client", "RKLLMClientService", "connect", "for_asyncio"]
