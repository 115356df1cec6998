"""The daemon's connections: made, counted, given their shares, and closed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from rkllm_twisted.errors import Busy, RPCError
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.server import peer
from rkllm_twisted.server.fairness import InputBudget, RoundRobin
from rkllm_twisted.server.protocol import RPCProtocol
from rkllm_twisted.values import Peer
from rkllm_twisted.wire.messages import Message

__all__ = ["RPCFactory", "RPCProtocol"]


class RPCFactory(ServerFactory):
    """Makes the connections, counts them, and closes them all.

    A connection too many is told so as soon as its first byte has shown its framing, and closed.

    :param max_clients: connected at once.
    :param admit: gives the error that a client is to be turned away with, or None.
    :param administers: says whether a client may call what is administrative.
    :param read_elsewhere: reads big messages without keeping the reactor from others, see
        :class:`rkllm_twisted.offload.parser.Reader`; without it they are read at once.
    :param has_gone: see :func:`rkllm_twisted.server.peer.has_gone`.
    :ivar connections: those that are served.
    :ivar refused: how many were turned away since the start.
    :ivar rounds: the connections' turns at the reactor.
    :ivar hold: what they hold of input.
    """

    noisy = False

    def __init__(
        self,
        dispatcher: Dispatcher,
        reactor: IReactorTime,
        max_clients: int = 100,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
        admit: Callable[[Peer], RPCError | None] = lambda _: None,
        administers: Callable[[Peer], bool] = lambda _: True,
        has_gone: Callable[[Any], bool] = peer.has_gone,
        read_elsewhere: Callable[[bytes], Deferred[Message]] | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.reactor = reactor
        self.limits = limits
        self.administers = administers
        self.has_gone = has_gone
        self.read_elsewhere = read_elsewhere
        self.rounds = RoundRobin(reactor)
        self.hold = InputBudget(limits.max_unparsed)
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
        self.dispatcher.journal.opened(client, refusal)
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
        self.dispatcher.journal.closed(connection.peer, connection.conversation.messages)
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
