"""Many sockets that are read as one descriptor of the reactor's.

A reactor spends on each socket that is ready more than the daemon does on a small request, and
looks at all that are ready before it comes back to anything else. Here the kernel keeps them in a
set of its own (epoll(7), nested in the reactor's), and a turn takes a few: those that have had
theirs stand at the end of the kernel's queue.
"""

from __future__ import annotations

import select
from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.server.peer import has_gone

#: Sockets that are read in one turn of the reactor.
MOST = 64
#: Made once, as Twisted's reactors do.
ENDS: Mapping[Exception, Failure] = {
    why: Failure(why) for why in (CONNECTION_DONE, CONNECTION_LOST)
}


class Socket(Protocol):
    """A transport, as seen from here."""

    def fileno(self) -> int:
        """Of the socket."""

    def getHandle(self) -> Any:
        """Give the socket itself."""

    def stopReading(self) -> None:
        """Leave the group."""

    def doRead(self) -> Exception | None:
        """Read, and say why it is over, if it is."""

    def readConnectionLost(self, reason: Failure) -> None:
        """Nothing more will come, but somebody may still read."""

    def connectionLost(self, reason: Failure) -> None:
        """It is over."""


@implementer(IReadDescriptor)
class ReadGroup:
    """What listens makes one, and its connections join.

    It is with the reactor as long as anybody listens or is connected.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._sockets: dict[int, Socket] = {}
        self._is_open = True
        self._begin()

    def _begin(self) -> None:
        self._epoll = select.epoll()
        self._reactor.addReader(self)

    def join(self, socket: Socket) -> None:
        """Be read from whenever there is something."""
        if self._epoll.closed:  # all had paused, and nobody listens any more
            self._begin()
        fd = socket.fileno()
        if self._sockets.get(fd) is not socket:
            self._sockets[fd] = socket
            self._epoll.register(fd, select.EPOLLIN)

    def leave(self, socket: Socket) -> None:
        """Be read from no more. Harmless for one that is not in the group."""
        fd = socket.fileno()
        if self._sockets.get(fd) is socket:
            del self._sockets[fd]
            self._epoll.unregister(fd)
            self._end()

    def close(self) -> None:
        """Nobody listens any more: be gone as soon as nobody is left."""
        self._is_open = False
        self._end()

    def _end(self) -> None:
        if not (self._is_open or self._sockets or self._epoll.closed):
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
        sockets = self._sockets
        if len(sockets) == 1:  # then it is that one, and the kernel need not be asked
            [socket] = sockets.values()
            self.read(socket)
            return
        left = MOST
        while left and sockets and (events := self._epoll.poll(0, left)):
            left -= len(events)
            for fd, _ in events:
                if fd in sockets:  # else one that was read before it has closed it
                    self.read(sockets[fd])

    def read(self, socket: Socket) -> None:
        """Read from one of them now."""
        try:
            why = socket.doRead()
        except Exception as fault:  # noqa: BLE001 - it costs this connection, not the others
            self.log.failure("reading from a client failed")
            why = fault
        if why is None:
            return
        reason = ENDS.get(why) or Failure(why)
        if why is CONNECTION_DONE and not has_gone(socket):
            socket.stopReading()
            socket.readConnectionLost(reason)
        else:
            socket.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops everything."""
        for socket in list(self._sockets.values()):
            socket.connectionLost(ENDS[CONNECTION_LOST])
        self.close()
