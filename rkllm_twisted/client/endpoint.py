"""Gets a client for a Twisted program: ``connect`` once, or a service that connects again."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

import attrs
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorFDSet, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.client.client import Client
from rkllm_twisted.client.connection import OnNotification
from rkllm_twisted.client.unix_reads import PlainReads
from rkllm_twisted.client_core.address import checked_path, connect_error, default_socket
from rkllm_twisted.errors import Unreachable

#: What a program may give as the daemon's address.
Address = str | os.PathLike[str] | IStreamClientEndpoint
_UNIX = re.compile(r"unix:(?:path=)?((?:[^:\\]|\\.)*)")


@implementer(IStreamClientEndpoint)
@attrs.frozen
class DaemonEndpoint:
    """An endpoint with errors that say what to do.

    :param where: the daemon's address, for messages.
    :param is_path: True if that is the path of a UNIX socket.
    """

    endpoint: IStreamClientEndpoint
    where: str
    is_path: bool

    def connect(self, factory: Any) -> Deferred[Any]:
        """See :class:`IStreamClientEndpoint`.

        :raises Unreachable: if it cannot be connected to.
        """
        return self.endpoint.connect(factory).addErrback(self._explain)

    def _explain(self, failure: Failure) -> Failure:
        error = failure.check(ConnectError, OSError) and failure.value
        if not error or isinstance(error, Unreachable):
            return failure
        if not self.is_path:
            return Failure(connect_error(self.where, None, str(error)))
        number = getattr(error, "osError", None) or getattr(error, "errno", None)
        # Twisted reports no errno for a socket whose backlog is full.
        known = number if isinstance(number, int) else errno.EAGAIN
        return Failure(connect_error(self.where, known, str(error)))


def daemon_endpoint(reactor: Any, description: Address | None) -> DaemonEndpoint:
    """Return the endpoint for an address.

    :param description: an endpoint or its description, the path of a socket, or None for
        ``$RKLLM_UDS_PATH`` or ``/tmp/rkllm.sock``.
    :raises ValueError: if the text does not describe an endpoint.
    :raises Unreachable: if the path is too long for a socket.
    """
    if description is None:
        description = default_socket()
    if isinstance(description, os.PathLike):
        return _path_endpoint(reactor, os.fspath(description))
    if not isinstance(description, str):
        return DaemonEndpoint(description, str(description), is_path=False)
    if description.startswith(("/", ".")) or ":" not in description:
        return _path_endpoint(reactor, description)
    endpoint = clientFromString(reactor, description)
    match = _UNIX.match(description)
    where = checked_path(re.sub(r"\\(.)", r"\1", match[1])) if match else description
    return DaemonEndpoint(endpoint, where, is_path=match is not None)


def _path_endpoint(reactor: Any, path: str) -> DaemonEndpoint:
    # The reactor of a test has no descriptors.
    reads = PlainReads(reactor) if IReactorFDSet.providedBy(reactor) else reactor
    endpoint = UNIXClientEndpoint(reads, checked_path(path))
    return DaemonEndpoint(endpoint, path, is_path=True)


@attrs.define(eq=False)
class _ClientFactory(Factory):
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
    endpoint: Address | None = None,
    *,
    timeout: float | None = None,
    on_notification: OnNotification | None = None,
) -> Deferred[Client]:
    """Connect to a daemon.

    :param endpoint: an endpoint, its description such as ``unix:/tmp/rkllm.sock``, or the path of
        a socket; None means ``$RKLLM_UDS_PATH`` or ``/tmp/rkllm.sock``.
    :param timeout: see :class:`Client`.
    :param on_notification: see :class:`Client`.
    :returns: a Deferred that fires with the :class:`Client` when the daemon has answered.
    :raises Unreachable: if there is no daemon, or this user may not use it.
    :raises RPCError: if the daemon refuses the connection.
    """

    async def connected() -> Client:
        address = daemon_endpoint(reactor, endpoint)
        factory = _ClientFactory(reactor, address.where, timeout, on_notification)
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
    """Keeps a client connected.

    When the connection is lost it connects again, and waits longer after each failure. Call
    :meth:`whenConnected` to get the client before each use. With ``failAfterFailures=1`` that fails
    with the reason instead of waiting until the daemon is back.

    :param endpoint, timeout, on_notification: as in :func:`connect`.
    :param retry_policy: failures in a row -> seconds until the next try.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: Address | None = None,
        *,
        timeout: float | None = None,
        on_notification: OnNotification | None = None,
        retry_policy: Any = None,
    ) -> None:
        address = daemon_endpoint(reactor, endpoint)
        factory = _ClientFactory(reactor, address.where, timeout, on_notification)
        super().__init__(
            address,
            factory,
            retryPolicy=retry_policy,
            clock=reactor,
            prepareConnection=_ready,
        )
        self._reactor = reactor

    def whenConnected(  # type: ignore[override]  # Twisted's says Deferred[IProtocol]
        self,
        failAfterFailures: int | None = None,  # noqa: N803 - Twisted's name
    ) -> Deferred[Client]:
        """Wait for the connection.

        :param failAfterFailures: fail after so many failures in a row; None means wait until a
            connection succeeds.
        :returns: a Deferred of the :class:`Client`.
        :raises Unreachable, RPCError: the last failure.
        """
        return Deferred.fromCoroutine(self._when_connected(failAfterFailures))

    async def _when_connected(self, failures: int | None) -> Client:
        # ClientService learns of a lost connection after its users do, and cannot be stopped from a
        # callback of a failed one. Both work one turn of the reactor later.
        await deferLater(self._reactor, 0)
        try:
            client: Any = await super().whenConnected(failures)
            assert isinstance(client, Client)
            return client
        finally:
            await deferLater(self._reactor, 0)
