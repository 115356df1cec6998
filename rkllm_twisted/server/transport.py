"""The listening port and the clients' transports: Twisted's, with fewer turns of the reactor.

Uses names private to Twisted. What it adds is speed: answers are written at once, and one turn of
the reactor reads from many clients. The server works without it: the protocol serves any transport.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from typing import Any

from twisted.internet import address, tcp, unix
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.interfaces import IListeningSocket
from rkllm_twisted.server.bare_socket import unsent
from rkllm_twisted.server.peer import has_gone

#: Connections that are accepted in one turn of the reactor.
ACCEPTS_PER_TURN = 16
#: Sockets that are read in one turn of the reactor.
READS_PER_TURN = 64
#: Made once, as Twisted's reactors do.
_REASONS: Mapping[Exception, Failure] = {
    why: Failure(why) for why in (CONNECTION_DONE, CONNECTION_LOST)
}

_log = Logger("rkllm.server")


@implementer(IReadDescriptor)
class ReadGroup:
    """Many sockets that the reactor reads as one descriptor.

    A reactor spends more on each ready socket than the daemon does on a small request, and it looks
    at all ready sockets before it returns to anything else. Here the kernel keeps them in a set of
    its own (epoll(7), nested in the reactor's), and a turn reads a few: a socket that was read
    moves to the end of the kernel's queue.

    A port makes one, and its connections join. It stays with the reactor as long as the port
    listens or a connection is in it.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._members: dict[int, Any] = {}
        self._is_open = True
        self._begin()

    def _begin(self) -> None:
        self._epoll = select.epoll()
        self._reactor.addReader(self)

    def join(self, transport: Any) -> None:
        """Read from a transport when it has something. No effect on a member."""
        if self._epoll.closed:  # all connections had paused, and the port was closed
            self._begin()
        fd = transport.fileno()
        if self._members.get(fd) is not transport:
            self._members[fd] = transport
            self._epoll.register(fd, select.EPOLLIN)

    def leave(self, transport: Any) -> None:
        """Stop reading from a transport. No effect on one that is not a member."""
        fd = transport.fileno()
        if self._members.get(fd) is transport:
            del self._members[fd]
            self._epoll.unregister(fd)
            self._close_if_unused()

    def close(self) -> None:
        """The port is closed: leave the reactor as soon as no connection is left."""
        self._is_open = False
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not (self._is_open or self._members or self._epoll.closed):
            self._reactor.removeReader(self)
            self._epoll.close()

    def fileno(self) -> int:
        """See :meth:`IReadDescriptor.fileno <twisted.internet.interfaces.IFileDescriptor>`."""
        return -1 if self._epoll.closed else self._epoll.fileno()

    def logPrefix(self) -> str:
        """See :class:`twisted.internet.interfaces.ILoggingContext`."""
        return "clients"

    def doRead(self) -> None:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.doRead`."""
        members = self._members
        if len(members) == 1:  # then it is that one, and the kernel need not be asked
            [transport] = members.values()
            self.read(transport)
            return
        left = READS_PER_TURN
        while left and members and (events := self._epoll.poll(0, left)):
            left -= len(events)
            for fd, _ in events:
                if fd in members:  # else another member has closed it in this turn
                    self.read(members[fd])

    def read(self, transport: Any) -> None:
        """Read from a member now."""
        try:
            why = transport.doRead()
        except Exception as fault:  # noqa: BLE001 - it costs this connection, not the others
            _log.failure("reading from a client failed")
            why = fault
        if why is None:
            return
        reason = _REASONS.get(why) or Failure(why)
        if why is CONNECTION_DONE and not has_gone(transport):
            transport.stopReading()
            transport.readConnectionLost(reason)
        else:
            transport.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops everything."""
        for transport in list(self._members.values()):
            transport.connectionLost(_REASONS[CONNECTION_LOST])
        self.close()


class ClientTransport(unix.Server):
    """Writes at once what the socket takes, and pauses without telling the kernel.

    Twisted's transports keep what is written until the reactor's next turn has asked whether the
    socket takes it: two calls of epoll_ctl and one of epoll_wait for each answer. Here only what
    the socket does not take waits like that, and with it all that is written later. While reading
    is paused nothing is read; the socket leaves epoll only if there is something to read.

    The port's :class:`ReadGroup` reads from it.
    """

    _is_held = _is_forgotten = False
    server: Any  # the port

    def startReading(self) -> None:
        """See :meth:`twisted.internet.abstract.FileDescriptor.startReading`."""
        self.server.group.join(self)

    def stopReading(self) -> None:
        """See :meth:`twisted.internet.abstract.FileDescriptor.stopReading`."""
        self.server.group.leave(self)

    def pauseProducing(self) -> None:
        """See :meth:`twisted.internet.interfaces.IPushProducer.pauseProducing`."""
        self._is_held = True

    def resumeProducing(self) -> None:
        """See :meth:`twisted.internet.interfaces.IPushProducer.resumeProducing`."""
        self._is_held = False
        if self._is_forgotten:
            self._is_forgotten = False
            super().resumeProducing()

    def doRead(self) -> Any:
        """Read, but not the ancillary data: descriptors that a client passes are not taken."""
        if self._is_held:
            self._is_forgotten = True
            self.stopReading()
            return None
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None

    def write(self, data: bytes) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.write`."""
        rest = unsent(self, data)
        if rest:
            super().write(rest)


class ClientAddress(address.UNIXAddress):
    """The address of a client, with the socket by which the kernel knows its user."""

    def __init__(self, name: str | bytes | None, handle: socket.socket) -> None:
        super().__init__(name)
        self._handle = handle

    def getHandle(self) -> socket.socket:
        """See :meth:`twisted.internet.interfaces.ISystemHandle.getHandle`."""
        return self._handle


class UNIXPort(unix.Port):
    """Accepts from a socket that is already open, and leaves its file to the source.

    Twisted's own way to adopt a UNIX socket gives its file the mode 0666, and at the end removes
    the file and shuts the socket down, also for the other process that holds it: systemd.

    :param source: of the socket; it is unlinked before the port closes, and closed after.
    :param opened: that socket, bound and listening.
    :ivar group: reads from the connections.
    """

    transport = ClientTransport
    #: Of Twisted's way to accept, which is for a process without descriptors.
    numberAccepts = ACCEPTS_PER_TURN
    _shouldShutdown = False

    def __init__(
        self,
        source: IListeningSocket,
        opened: socket.socket,
        factory: IProtocolFactory,
        reactor: Any,
    ) -> None:
        super().__init__(opened.getsockname(), factory, reactor=reactor)
        opened.setblocking(False)
        self._source = source
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
        """Accept some, and read what they have sent meanwhile: most send a request at once."""
        for _ in range(ACCEPTS_PER_TURN):
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
                _log.failure("a client cannot be served")
                client.close()

    def _serve(self, client: socket.socket, name: str | bytes) -> None:
        assert self.factory is not None
        protocol = self.factory.buildProtocol(ClientAddress(name or None, client))
        if protocol is None:
            client.close()
            return
        self.sessionno += 1
        transport = self.transport(client, protocol, name, self, self.sessionno, self.reactor)
        protocol.makeConnection(transport)
        self.group.read(transport)

    def loseConnection(
        self,
        connDone: Failure = _REASONS[CONNECTION_DONE],  # noqa: N803 - the name in Twisted
    ) -> Deferred[None]:
        """Stop accepting; the connections go on."""
        self._source.unlink()  # first: a client finds no socket rather than one that refuses
        stopped: Deferred[None] = super().loseConnection(connDone)
        return stopped

    stopListening = loseConnection

    def connectionLost(self, reason: Failure) -> None:
        """Close the socket."""
        tcp.Port.connectionLost(self, reason)  # unix.Port's would remove the file
        self.group.close()
        self._source.close()
