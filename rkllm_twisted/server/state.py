"""What the connections share, and which of them are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from rkllm_twisted.errors import Busy, RPCError
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.server.fairness import InputBudget, IServerConnection, RoundRobin
from rkllm_twisted.values import Peer
from rkllm_twisted.wire.messages import Message


class ServerState:
    """See :class:`rkllm_twisted.server.factory.RPCFactory` for the parameters.

    :ivar connections: those that are served.
    :ivar turned_away: those that are refused: they get an error, then they are closed.
    :ivar refused: the number of clients that were refused since the start.
    :ivar rounds: the turns of the connections.
    :ivar input_budget: the input that they hold.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        reactor: IReactorTime,
        max_clients: int,
        limits: Limits,
        admit: Callable[[Peer], RPCError | None],
        administers: Callable[[Peer], bool],
        has_gone: Callable[[Any], bool],
        read_elsewhere: Callable[[bytes], Deferred[Message]] | None,
    ) -> None:
        self.dispatcher = dispatcher
        self.reactor = reactor
        self.limits = limits
        self.administers = administers
        self.has_gone = has_gone
        self.read_elsewhere = read_elsewhere
        self.rounds = RoundRobin(reactor)
        self.input_budget = InputBudget(limits.max_unparsed)
        self.connections: set[IServerConnection] = set()
        self.turned_away: set[IServerConnection] = set()
        self.refused = 0
        self._max_clients = max_clients
        self._admit = admit
        self._when_empty: list[Deferred[None]] = []

    def is_crowded(self) -> bool:
        """True if so many are being refused that the next one is closed without an error."""
        return len(self.turned_away) >= self._max_clients

    def opened(self, connection: IServerConnection) -> RPCError | None:
        """Count a connection in.

        :returns: the error that it is refused with, or None.
        """
        client = connection.conversation.peer
        refusal = self._refusal(client)
        (self.connections if refusal is None else self.turned_away).add(connection)
        self.refused += refusal is not None
        self.dispatcher.access_log.opened(client, refusal)
        return refusal

    def _refusal(self, client: Peer) -> RPCError | None:
        if len(self.connections) >= self._max_clients:
            # The daemon may not have noticed yet that one has left.
            count = sum(not self.has_gone(other.transport) for other in self.connections)
            if count < self._max_clients:
                return self._admit(client)
            return Busy(f"{count} clients are connected; try again later.", {"queue_length": count})
        return self._admit(client)

    def closed(self, connection: IServerConnection) -> None:
        """Count a connection out."""
        conversation = connection.conversation
        self.dispatcher.access_log.closed(conversation.peer, conversation.messages)
        self.connections.discard(connection)
        self.turned_away.discard(connection)
        if not self.connections and not self.turned_away:
            waiting, self._when_empty = self._when_empty, []
            for empty in waiting:
                empty.callback(None)

    def close_all(self) -> Deferred[None]:
        """See :meth:`rkllm_twisted.server.factory.RPCFactory.close_all`."""
        everyone = self.connections | self.turned_away
        if not everyone:
            return succeed(None)
        empty: Deferred[None] = Deferred()
        self._when_empty.append(empty)
        for connection in everyone:
            connection.shut_down()
        return empty
