"""Connections in memory: both ends are Twisted transports, and a clock delivers the bytes."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet import error
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

#: The sender is paused when more bytes are in transit, as with a kernel's buffer.
BUFFER_BYTES = 2**17


@implementer(ITransport, IPushProducer)
class MemoryTransport:
    """One end of a connection. It behaves like Twisted's UNIX transports.

    :param clock: bytes arrive in its next turn, never while they are written.
    """

    def __init__(self, clock: IReactorTime, address: IAddress) -> None:
        self.connected = True
        self.disconnecting = False
        self._clock = clock
        self._address = address
        self._inbox: deque[bytes | None] = deque()  # None: the other end sends no more
        self._size = 0
        self._reads = True
        self._ended = False  # we send no more
        self._producer: Any = None
        self._producer_waits = False

    def join(self, other: MemoryTransport, protocol: IProtocol) -> None:
        """Connect this end to the other one and to its protocol."""
        self._other, self._protocol = other, protocol

    # Writing

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self.connected and not self._ended and data:
            self._other._put(data)
            if self._other._size > BUFFER_BYTES and self._producer and not self._producer_waits:
                self._producer_waits = True
                self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """Send several byte strings."""
        self.write(b"".join(data))

    def loseWriteConnection(self) -> None:
        """Send nothing more."""
        if not self._ended:
            self._ended = True
            self._other._put(None)

    def loseConnection(self, reason: Failure | None = None) -> None:
        """Close when everything has arrived."""
        self.disconnecting = True
        self._clock.callLater(0, self._close_if_done)

    def _close_if_done(self) -> None:
        if not (self.connected and self.disconnecting) or self._producer_waits:
            return
        if self._other.connected and self._other._size:
            return  # its _read() calls this again
        self._other._lose(ConnectionDone())
        self._lose(ConnectionDone())

    def abortConnection(self) -> None:
        """Close at once."""
        self._clock.callLater(0, self._other._lose, ConnectionLost())
        self._clock.callLater(0, self._lose, ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Register a producer that pushes; others are not supported."""
        assert streaming, "a pulling producer is not supported"
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Remove the producer."""
        self._producer, self._producer_waits = None, False
        if self.disconnecting:
            self.loseConnection()

    # Reading

    def _put(self, data: bytes | None) -> None:
        self._inbox.append(data)
        self._size += len(data or b"")
        self._clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        while self._inbox and self._reads and self.connected and not self.disconnecting:
            data = self._inbox.popleft()
            if data is None:
                self._input_ended()
            else:
                self._size -= len(data)
                self._protocol.dataReceived(data)
        self._other._read()

    def _input_ended(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.readConnectionLost()
        else:
            self.loseConnection()

    def _read(self) -> None:
        """Continue after the other end has read."""
        if self._producer_waits and not self._other._size:
            self._producer_waits = False
            self._producer.resumeProducing()
        self._close_if_done()

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._reads = False

    def resumeProducing(self) -> None:
        """Continue to read."""
        self._reads = True
        self._clock.callLater(0, self._deliver)

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    # Closing

    def _lose(self, reason: Exception) -> None:
        if self.connected:
            self.connected = False
            if self._producer is not None:
                self._producer.stopProducing()
            self._protocol.connectionLost(Failure(reason))

    def getPeer(self) -> IAddress:
        """Return an address that does not exist."""
        return self._address

    def getHost(self) -> IAddress:
        """Return the same address."""
        return self._address


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects clients to a server factory.

    :param factory: the server's factory; None refuses every connection.
    """

    def __init__(self, clock: IReactorTime, factory: IProtocolFactory | None) -> None:
        self._clock = clock
        self._factory = factory
        self._address = UNIXAddress("(memory)")

    def connect(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: N803 - Twisted's name
        """See IStreamClientEndpoint."""
        server = self._factory and self._factory.buildProtocol(self._address)
        if not server:
            return fail(error.ConnectionRefusedError())
        protocolFactory.doStart()
        client = protocolFactory.buildProtocol(self._address)
        if client is None:
            protocolFactory.doStop()
            return fail(ConnectError(string="the factory makes no protocol"))
        ours = MemoryTransport(self._clock, self._address)
        theirs = MemoryTransport(self._clock, self._address)
        ours.join(theirs, server)
        theirs.join(ours, client)
        server.makeConnection(ours)
        client.makeConnection(theirs)
        return succeed(client)
