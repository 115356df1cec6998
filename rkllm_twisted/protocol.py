"""The daemon's end of a connection: fairness, back-pressure, half-close, and the end.

What a message means is not known here; :class:`~rkllm_twisted.conversation.Conversation` knows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted import jsonrpc, peer
from rkllm_twisted.conversation import Conversation
from rkllm_twisted.dispatch import Dispatcher
from rkllm_twisted.errors import Busy, RPCError
from rkllm_twisted.interfaces import Peer
from rkllm_twisted.limits import Limits
from rkllm_twisted.outbox import Outbox
from rkllm_twisted.receiver import MessageReceiver

#: Seconds between two looks at whether a client that waits for an answer is still there.
WATCH = 0.5


@implementer(IHalfCloseableProtocol)
class RPCProtocol(MessageReceiver):
    """One connection. Its first byte decides its framing for good; replies go out in kind.

    :param number: the connection's name in the log.
    """

    log = Logger()
    conversation: Conversation

    def __init__(self, factory: RPCFactory, number: int) -> None:
        super().__init__(factory.limits.max_length)
        self.factory = factory
        self.peer = Peer(number)
        self._refusal: RPCError | None = None
        self._not_reading: set[str] = set()
        self._timers: dict[str, IDelayedCall] = {}
        self._pumping = False
        self._ending = False

    def connectionMade(self) -> None:
        """Learn who it is, and whether the daemon has room for it."""
        limits, reactor = self.factory.limits, self.factory.reactor
        self.peer = peer.peer_of(self.peer.number, self.transport)
        self._outbox = Outbox(self.transport, reactor, limits, self._hold_unread, self._drop)
        self.conversation = Conversation(
            self.factory.dispatcher, self.peer, self._send, self._settle, limits.max_requests
        )
        self._refusal = self.factory.opened(self)
        if self._refusal is not None:  # it is told in its own framing, once that is known
            self._later("linger", limits.linger, self.abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cancel what is under way: the client is gone."""
        self._ending = True
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._outbox.stopProducing()
        self.conversation.close()
        self.discard()
        self.factory.closed(self)

    def readConnectionLost(self) -> None:
        """Half-closed: the client still gets its answers. Or gone: then it does not."""
        self.input_ended = True
        self._watch()

    def writeConnectionLost(self) -> None:
        """Nothing can be sent any more."""
        self.abort()

    def abort(self) -> None:
        """Close now, whatever has not been read."""
        self._ending = True
        self.transport.abortConnection()

    def shut_down(self) -> None:
        """Answer what is under way with an error, then close: the daemon stops."""
        self.conversation.shut_down()
        self._end(self.factory.limits.linger)

    def _end(self, patience: float) -> None:
        """Close once everything is read, or after so many seconds."""
        if not self._ending:
            self._ending = True
            self.conversation.close()
            self._later("linger", patience, self.abort)
            self._outbox.finish(self.transport.loseConnection)

    def _drop(self, reason: str) -> None:
        number = self.peer.number
        self.log.warn("client {number} is dropped: {reason}", number=number, reason=reason)
        self.abort()

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if not self._is_due(name):
            self._timers[name] = self.factory.reactor.callLater(seconds, call)

    def _is_due(self, name: str) -> bool:
        return name in self._timers and self._timers[name].active()

    def dataReceived(self, data: bytes) -> None:
        """Take what was read."""
        if not self._ending:
            self.put(data)
            self._pump()

    def framing_chosen(self) -> None:
        """Turn the client away now, if the daemon has no room for it."""
        if self._refusal is not None:
            self.discard()
            self.broken = self._refusal

    def _pump(self) -> None:
        """Hand over some messages; the others wait for the reactor's next turn."""
        if self._pumping or self._is_due("turn"):
            return
        self._pumping = True
        for _ in range(self.factory.limits.messages_per_turn):
            if self._ending or "unread" in self._not_reading or not self.has_message():
                break
            self.conversation.received(self.take())
        self._pumping = False
        self._settle()

    def _settle(self) -> None:
        """Decide what comes next: more messages, more bytes, or the end."""
        if self._pumping or self._ending:
            return
        limits, is_backlog = self.factory.limits, self.has_message()
        self._hold("backlog", is_backlog)
        if is_backlog:
            if "unread" not in self._not_reading:
                self._later("turn", 0, self._pump)
        elif self.broken is not None:
            self._send(jsonrpc.error(None, self.broken))
            self._end(limits.linger)
        elif self.conversation.busy:
            self._later("watch", WATCH, self._watch)
        elif self.input_ended:
            self._end(limits.unread_timeout)

    def _watch(self) -> None:
        if self.factory.has_gone(self.transport):
            self.abort()
        else:
            self._settle()

    def _send(self, message: bytes) -> None:
        self._outbox.send(self.frame(message))

    def _hold_unread(self, is_crowded: bool) -> None:
        was_crowded = "unread" in self._not_reading
        self._hold("unread", is_crowded)
        if was_crowded and not is_crowded:
            self._settle()

    def _hold(self, reason: str, is_held: bool) -> None:
        """Read on only while no reason speaks against it."""
        before = bool(self._not_reading)
        (self._not_reading.add if is_held else self._not_reading.discard)(reason)
        if before == bool(self._not_reading) or self.input_ended or self._ending:
            return
        (self.transport.resumeProducing if before else self.transport.pauseProducing)()


class RPCFactory(ServerFactory):
    """Makes the connections, counts them, and closes them all.

    A connection too many is told so as soon as its first byte has shown its framing, and closed.

    :param max_clients: connected at once.
    :param admit: gives the error that a client is to be turned away with, or None.
    :param has_gone: see :func:`rkllm_twisted.peer.has_gone`.
    :ivar connections: those that are served.
    :ivar refused: how many were turned away since the start.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        dispatcher: Dispatcher,
        reactor: IReactorTime,
        max_clients: int = 100,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
        admit: Callable[[Peer], RPCError | None] = lambda _: None,
        has_gone: Callable[[Any], bool] = peer.has_gone,
    ) -> None:
        self.dispatcher = dispatcher
        self.reactor = reactor
        self.limits = limits
        self.has_gone = has_gone
        self.connections: set[RPCProtocol] = set()
        self.refused = 0
        self._max_clients = max_clients
        self._admit = admit
        self._turned_away: set[RPCProtocol] = set()
        self._numbers = itertools.count(1)
        self._when_empty: list[Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> RPCProtocol | None:
        """Make a connection's protocol; None, which closes it, if a crowd is being turned away."""
        if len(self._turned_away) >= self._max_clients:
            self.refused += 1
            return None
        return RPCProtocol(self, next(self._numbers))

    def opened(self, connection: RPCProtocol) -> RPCError | None:
        """Count a connection in.

        :returns: why it is turned away, if it is.
        """
        client = connection.peer
        refusal = self._refusal(client)
        where = self.connections if refusal is None else self._turned_away
        where.add(connection)
        self.refused += refusal is not None
        self.log.info(
            "client {number} {happened}: pid {pid}, uid {uid}",
            number=client.number,
            happened="connected" if refusal is None else f"turned away ({refusal.code})",
            pid=client.pid,
            uid=client.uid,
        )
        return refusal

    def _refusal(self, client: Peer) -> RPCError | None:
        if len(self.connections) >= self._max_clients:
            # One that has just left may not have been noticed yet.
            count = sum(not self.has_gone(other.transport) for other in self.connections)
            if count < self._max_clients:
                return self._admit(client)
            return Busy(f"{count} clients are connected; try again later.", {"queue_length": count})
        return self._admit(client)

    def closed(self, connection: RPCProtocol) -> None:
        """Count a connection out."""
        self.log.info(
            "client {number} left after {messages} messages",
            number=connection.peer.number,
            messages=connection.conversation.messages,
        )
        self.connections.discard(connection)
        self._turned_away.discard(connection)
        if not self.connections and not self._turned_away:
            waiting, self._when_empty = self._when_empty, []
            for empty in waiting:
                empty.callback(None)

    def close_all(self) -> Deferred[None]:
        """Answer everything under way with ShuttingDown, and close.

        :returns: a Deferred that fires when the last connection is closed; after ``linger`` no
            client is waited for.
        """
        everyone = self.connections | self._turned_away
        if not everyone:
            return succeed(None)
        empty: Deferred[None] = Deferred()
        self._when_empty.append(empty)
        for connection in everyone:
            connection.shut_down()
        return empty
