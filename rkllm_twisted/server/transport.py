"""A client's connection below the protocol: Twisted's, without what an answer need not wait for."""

from __future__ import annotations

from typing import Any

from twisted.internet import unix
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST


class PromptTransport(unix.Server):
    """Writes at once what the socket takes, and pauses without telling the kernel.

    Twisted's transports keep what is written until the reactor's next turn has asked whether the
    socket takes it: two calls of epoll_ctl and one of epoll_wait for each answer. Here only what
    the socket does not take waits like that, and with it all that is written later. While reading
    is paused nothing is read; the kernel forgets the socket only if there is something to read.

    What is read comes by the port's :class:`~rkllm_twisted.server.read_group.ReadGroup`.
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
        is_behind = self.dataBuffer or self._tempDataBuffer
        if self.connected and not (is_behind or self.disconnecting or self._aborting):
            try:
                sent = self.socket.send(data)
            except OSError:  # it takes nothing now, or never will: the reactor finds out
                sent = 0
            data = data[sent:]
        if data:
            super().write(data)
