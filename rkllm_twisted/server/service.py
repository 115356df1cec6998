"""Takes connections from a listening UNIX socket, for as long as the service runs."""

from __future__ import annotations

import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet import address, tcp, unix
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.interfaces import IListeningSocket
from rkllm_twisted.server.descriptors import raise_limit
from rkllm_twisted.server.read_group import ReadGroup
from rkllm_twisted.server.transport import PromptTransport

#: Connections that are accepted in one turn of the reactor.
ACCEPTS = 16


class OpenedPort(unix.Port):
    """Accepts from a socket that is open already, and does nothing else to it or to its file.

    Twisted's own way to adopt a UNIX socket gives its file the mode 0666, and at the end removes it
    and shuts the socket down, also for the other process that holds it: systemd.

    :param opened: bound and listening.
    :ivar group: reads from the connections.
    """

    log = Logger()
    transport = PromptTransport
    _shouldShutdown = False

    def __init__(self, opened: socket.socket, factory: IProtocolFactory, reactor: Any) -> None:
        super().__init__(opened.getsockname(), factory, reactor=reactor)
        opened.setblocking(False)
        self._opened = opened

    def startListening(self) -> None:
        """Begin to accept."""
        tcp._reservedFD.reserve()  # to refuse connections with, when there are no more
        assert self.factory is not None
        self.factory.doStart()
        self.socket = self._opened
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as Twisted's ports do
        self.connected = True
        self.group = ReadGroup(self.reactor)
        self.startReading()

    def doRead(self) -> None:
        """Accept some, and read what they have sent meanwhile: most ask as soon as they can."""
        for _ in range(ACCEPTS):
            try:
                client, name = self.socket.accept()
            except BlockingIOError:
                return
            except OSError:
                super().doRead()  # no descriptors, for example: Twisted knows what to do
                return
            try:
                self._serve(client, name)
            except Exception:  # noqa: BLE001 - it costs this client, not the others
                self.log.failure("a client cannot be served")
                client.close()

    def _serve(self, client: socket.socket, name: str | bytes) -> None:
        assert self.factory is not None
        protocol = self.factory.buildProtocol(address.UNIXAddress(name or None))
        if protocol is None:
            client.close()
            return
        self.sessionno += 1
        transport = self.transport(client, protocol, name, self, self.sessionno, self.reactor)
        protocol.makeConnection(transport)
        self.group.read(transport)

    def connectionLost(self, reason: Failure) -> None:
        """Close our end."""
        tcp.Port.connectionLost(self, reason)  # unix.Port's would remove the file
        self.group.close()


class UNIXSocketService(Service):
    """Listens on a UNIX socket for as long as it runs.

    :param source: where the socket comes from.
    :param descriptors: how many the process must be allowed to have open.
    """

    def __init__(
        self,
        reactor: Any,
        source: IListeningSocket,
        factory: IProtocolFactory,
        descriptors: int = 0,
    ) -> None:
        self._reactor = reactor
        self._source = source
        self._factory = factory
        self._descriptors = descriptors
        self._port: OpenedPort | None = None

    @property
    def path(self) -> object:
        """Of the socket."""
        return self._source.path

    def privilegedStartService(self) -> None:
        """Open the socket.

        :raises SocketError: it is in use or cannot be had, and what to do.
        """
        if self._port is None:
            raise_limit(self._descriptors)
            self._port = OpenedPort(self._source.open(), self._factory, self._reactor)
            self._port.startListening()

    def startService(self) -> None:
        """Open the socket unless that has been done with more rights."""
        self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Take no more connections and let go of the socket. The connections there are go on."""
        super().stopService()
        port, self._port = self._port, None
        self._source.unlink()  # first: a client finds nothing rather than somebody who refuses
        stopped: Deferred[None] = maybeDeferred(port.stopListening if port else lambda: None)
        return stopped.addBoth(self._let_go)

    def _let_go(self, result: object) -> object:
        self._source.close()
        return result
