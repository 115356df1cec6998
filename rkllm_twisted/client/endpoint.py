"""How a Twisted program gets its client: once, or again and again."""

from __future__ import annotations

import errno
import re
from typing import Any

import attrs
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.client.client import Client
from rkllm_twisted.client.connection import OnNotification
from rkllm_twisted.client_core.address import checked_path, connect_error, default_socket
from rkllm_twisted.errors import Unreachable

_UNIX = re.compile(r"unix:(?:path=)?((?:[^:\\]|\\.)*)")


@implementer(IStreamClientEndpoint)
@attrs.frozen
class DaemonEndpoint:
    """An endpoint whose failures say what to do.

    :param where: the daemon's address, for messages.
    :param is_path: whether that is the path of a UNIX socket.
    """

    endpoint: IStreamClientEndpoint
    where: str
    is_path: bool

    def connect(self, factory: Any) -> Deferred[Any]:
        """See :class:`IStreamClientEndpoint`.

        :raises Unreachable: it cannot be connected to.
        """
        return self.endpoint.connect(factory).addErrback(self._explain)

    def _explain(self, failure: Failure) -> Failure:
        error = failure.check(ConnectError, OSError) and failure.value
        if not error or isinstance(error, Unreachable):
            return failure
        if not self.is_path:
            return Failure(connect_error(self.where, None, str(error)))
        number = getattr(error, "osError", None) or getattr(error, "errno", None)
        # A socket whose backlog is full looks to Twisted like one that was closed.
        known = number if isinstance(number, int) else errno.EAGAIN
        return Failure(connect_error(self.where, known, str(error)))


def daemon_endpoint(
    reactor: Any, description: str | IStreamClientEndpoint | None
) -> DaemonEndpoint:
    """Find the endpoint that is meant.

    :param description: an endpoint or its description, the path of a socket, or None for
        ``$RKLLM_UDS_PATH`` or ``/tmp/rkllm.sock``.
    :raises ValueError: the text describes no endpoint.
    :raises Unreachable: the path is too long for a socket.
    """
    if description is None:
        description = default_socket()
    if not isinstance(description, str):
        return DaemonEndpoint(description, str(description), is_path=False)
    if description.startswith(("/", ".")):
        endpoint = UNIXClientEndpoint(reactor, checked_path(description))
        return DaemonEndpoint(endpoint, description, is_path=True)
    endpoint = clientFromString(reactor, description)
    match = _UNIX.match(description)
    where = checked_path(re.sub(r"\\(.)", r"\1", match[1])) if match else description
    return DaemonEndpoint(endpoint, where, is_path=match is not None)


@attrs.define(eq=False)
class _Clients(Factory):
    """Makes a client for each connection."""

    reactor: Any
    where: str
    timeout: float | None
    on_notification: OnNotification | None
    noisy = False

    def buildProtocol(self, addr: object) -> Client:
        """See :class:`Factory`."""
        return Client(self.reactor, self.where, self.timeout, self.on_notification)


def connect(
    reactor: Any,
    endpoint: str | IStreamClientEndpoint | None = None,
    *,
    timeout: float | None = None,
    on_notification: OnNotification | None = None,
) -> Deferred[Client]:
    """Connect to a daemon.

    :param endpoint: such as ``unix:/tmp/rkllm.sock``; ``$RKLLM_UDS_PATH`` or ``/tmp/rkllm.sock``
        where left out.
    :param timeout: see :class:`Client`.
    :returns: a Deferred of the :class:`Client`, once the daemon has answered.
    :raises Unreachable: there is no daemon, or it may not be used.
    :raises RPCError: the daemon refuses the connection.
    """

    async def connected() -> Client:
        address = daemon_endpoint(reactor, endpoint)
        factory = _Clients(reactor, address.where, timeout, on_notification)
        client: Client = await address.connect(factory)
        try:
            await client.ready()
        except BaseException:
            client.close()
            raise
        return client

    return Deferred.fromCoroutine(connected())


def _ready(client: Any) -> Deferred[None]:
    ready: Deferred[None] = client.ready()
    return ready


class RKLLMClientService(ClientService):
    """Keeps a client connected: whenever the connection is lost, it tries again, less and less
    often.

    Ask :meth:`whenConnected` for the client before each use. With ``failAfterFailures=1`` it fails
    with the reason instead of waiting for the daemon to come back.

    :param endpoint, timeout, on_notification: as in :func:`connect`.
    :param retry_policy: failures in a row -> seconds until the next try.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: str | IStreamClientEndpoint | None = None,
        *,
        timeout: float | None = None,
        on_notification: OnNotification | None = None,
        retry_policy: Any = None,
    ) -> None:
        address = daemon_endpoint(reactor, endpoint)
        factory = _Clients(reactor, address.where, timeout, on_notification)
        super().__init__(
            address,
            factory,
            retryPolicy=retry_policy,
            clock=reactor,
            prepareConnection=_ready,
        )
        self._reactor = reactor

    def whenConnected(self, failAfterFailures: int | None = None) -> Deferred[Any]:  # noqa: N803
        """Wait for the connection.

        :param failAfterFailures: so many in a row are told; None: it waits until one succeeds.
        :returns: a Deferred of the :class:`Client`.
        :raises Unreachable, RPCError: why there is none.
        """
        return Deferred.fromCoroutine(self._when_connected(failAfterFailures))

    async def _when_connected(self, failures: int | None) -> Any:
        # ClientService learns last of a connection that is lost, and may not be stopped by who is
        # told of one that failed: both are right a turn of the reactor later.
        await deferLater(self._reactor, 0)
        try:
            return await super().whenConnected(failures)
        finally:
            await deferLater(self._reactor, 0)
