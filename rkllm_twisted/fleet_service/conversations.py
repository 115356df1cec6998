"""A board's connections to its daemon: one for each conversation.

The daemon keeps the histories of connections apart, so conversations that shared one connection
would read each other's.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from rkllm_twisted.client.client import Client
from rkllm_twisted.errors import Busy

#: Connections at once; the one that was used least recently is closed for another.
MAX_CONVERSATIONS = 16
CONNECTED = "connected"


class Conversations:
    """The connections, by the name of their conversation.

    :param connect: makes a connection; returns a Deferred of the client.
    :param most: see :data:`MAX_CONVERSATIONS`.
    """

    def __init__(
        self, connect: Callable[[], Deferred[Client]], most: int = MAX_CONVERSATIONS
    ) -> None:
        self._connect = connect
        self._most = most
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._used: Counter[str] = Counter()

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._clients)

    @asynccontextmanager
    async def client(self, conversation: str) -> AsyncGenerator[Client, None]:
        """Hold the connection of a conversation; a new one, if it has none or that is lost.

        :raises Busy: as many conversations as there may be are in use.
        :raises Unreachable, RPCError: the daemon does not answer, or refuses the connection.
        """
        self._used[conversation] += 1
        try:
            known = self._clients.get(conversation)
            if known is None or known.state != CONNECTED:
                self._make_room(conversation)
                known = await self._connected(conversation)
            self._clients.move_to_end(conversation)
            yield known
        finally:
            self._used[conversation] -= 1
            if not self._used[conversation]:
                del self._used[conversation]

    def known(self, conversation: str) -> Client | None:
        """Return the connection that a conversation has now; None if it has none."""
        client = self._clients.get(conversation)
        return client if client is not None and client.state == CONNECTED else None

    async def _connected(self, conversation: str) -> Client:
        client: Client = await self._connect()
        try:
            await client.call("server.configure", {"floats": "base64"})
        except BaseException:
            client.close()
            raise
        self._clients[conversation] = client
        return client

    def _make_room(self, conversation: str) -> None:
        self._clients.pop(conversation, None)  # it is lost
        while len(self._clients) >= self._most:
            idle = next((name for name in self._clients if not self._used[name]), None)
            if idle is None:
                raise Busy(
                    f"{len(self._clients)} conversations are in use on this board; try again.",
                    {"queue_length": len(self._clients)},
                )
            self._clients.pop(idle).close()

    def close(self) -> Deferred[Any]:
        """Close all connections; the daemon ends what they have under way."""
        clients = [client.close() for client in self._clients.values()]
        self._clients.clear()
        return DeferredList(clients, consumeErrors=True)
