"""One client's requests to one daemon: a connection of their own, so that turns go by client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore

from rkllm_twisted.client import Client, connect
from rkllm_twisted.client.endpoint import Address
from rkllm_twisted.errors import HTTPError
from rkllm_twisted.values import OnResults

#: The requests under way of one connection; a daemon's default for --max-requests.
MAX_UNDER_WAY = 8
#: The requests that may wait behind those.
MAX_WAITING = 256
#: The seconds after which an idle connection is closed.
IDLE_S = 60.0


class Lane:
    """The requests of one client of the HTTP service to one daemon.

    The daemon gives its turns to connections in a circle, so each client of the service has one.
    """

    def __init__(self, reactor: Any, address: Address) -> None:
        self._reactor = reactor
        self._address = address
        self._client: Client | None = None
        self._connecting = DeferredLock()
        self._slots = DeferredSemaphore(MAX_UNDER_WAY)
        self._idle: Any = None
        self._idle_since = 0.0
        self._users = 0

    @property
    def is_free(self) -> bool:
        """True if nothing uses it and it has no connection."""
        return self._client is None and not self._users

    @property
    def is_in_use(self) -> bool:
        """True if requests are under way, and another one would be sent at once."""
        return self._users > 0 and self._slots.tokens > 0

    @property
    def waiting(self) -> int:
        """The requests that wait here, before they reach the daemon."""
        return len(self._slots.waiting)

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        on_results: OnResults | None = None,
    ) -> Any:
        """Make a request and return its result.

        :param on_results: called with partial results, those that came together at once.
        :raises HTTPError: too many requests of this client wait.
        :raises RPCError, Unreachable: as the client does.
        """
        if self.waiting >= MAX_WAITING:
            raise HTTPError(
                429,
                f"{MAX_WAITING} requests of this client wait already; try again later.",
                "rate_limit_error",
                "too_many_requests",
                retry_after=2,
                should_retry=True,
            )
        self._users += 1
        try:
            await self._slots.acquire()
            try:
                client = self._open_client()
                if client is None:
                    connecting: Deferred[Client] = self._connecting.run(self._connected)
                    client = await connecting
                return await client.call(method, params, on_results=on_results)
            finally:
                self._slots.release()
        finally:
            self._users -= 1
            self._start_idling()

    def _open_client(self) -> Client | None:
        """Return the client if it is connected."""
        if self._client is not None and self._client.state != "connected":
            self._client = None
        return self._client

    def _connected(self) -> Deferred[Client]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> Client:
        if self._open_client() is None:
            self._client = await connect(self._reactor, self._address)
        assert self._client is not None
        return self._client

    def _start_idling(self) -> None:
        """Note the time. One timer serves many requests: it looks when it fires."""
        if not self._users and self._client is not None:
            self._idle_since = self._reactor.seconds()
            if self._idle is None:
                self._idle = self._reactor.callLater(IDLE_S, self._close_idle)

    def _close_idle(self) -> None:
        self._idle = None
        left_s = self._idle_since + IDLE_S - self._reactor.seconds()
        if self._users:
            return
        if left_s > 0:
            self._idle = self._reactor.callLater(left_s, self._close_idle)
        else:
            self.close()

    def close(self) -> Deferred[None] | None:
        """Close the connection; the daemon cancels what is under way."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        client, self._client = self._client, None
        return None if client is None else client.close()
