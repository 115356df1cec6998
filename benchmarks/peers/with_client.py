"""A program with the daemon's Twisted client and nothing else: what any client needs.

with_client.py SOCKET: connects, prints a line, and stays.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from rkllm_twisted.client import connect


async def main(reactor: Any) -> None:
    """Connect and make a request."""
    client = await connect(reactor, sys.argv[1])
    await client.ping()
    print("connected", flush=True)
    await Deferred()


react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
