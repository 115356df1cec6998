"""The state that the connections share, and which of them are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from rkllm_twisted.errors import Busy, RPCError
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.server.fairness import IServerConnection, RoundRobin, input_budget, output_budget
from rkllm_twisted.values import Peer
from rkllm_twisted.wire.messages import Message

#: Connections beyond ``max_clients`` that clients with a reserve may have.
RESERVED_CONNECTIONS = 4


class ServerState:
    """See :class:`rkllm_twisted.server.factory.RPCFactory` for the parameters.

    :ivar connections: those that are served.
    :ivar turned_away: those that are refused: they get an error, then they are closed.
    :ivar refused: the number of clients that were refused since the start.
    :ivar rounds: the turns of the connections.
    :ivar input_budget: the input that they hold.
    :ivar output_budget: the output that they have not read.
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
        has_reserve: Callable[[Peer], bool],
    ) -> None:
        self.dispatcher = dispatcher
        self.reactor = reactor
        self.limits = limits
        self.administers = administers
        self.has_gone = has_gone
        self.read_elsewhere = read_elsewhere
        self.rounds = RoundRobin(reactor)
        self.input_budget = input_budget(limits.max_unparsed)
        self.output_budget = output_budget(limits.max_unread_total)
        self.connections: set[IServerConnection] = set()
        self.turned_away: set[IServerConnection] = set()
        self.refused = 0
        self._max_clients = max_clients
        self._admit = admit
        self._has_reserve = has_reserve
        self._when_empty: list[Deferred[None]] = []

    def is_crowded(self, client: Peer) -> bool:
        """True if so many are being refused that this one is closed without an error."""
        return len(self.turned_away) >= self._room_for(client)

    def _room_for(self, client: Peer) -> int:
        return self._max_clients + (RESERVED_CONNECTIONS if self._has_reserve(client) else 0)

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
        room = self._room_for(client)
        if len(self.connections) >= room and (count := self._count(lambda _: True)) >= room:
            return Busy(f"{count} clients are connected; try again later.", {"queue_length": count})
        share = self.limits.max_clients_per_user
        if share is None or client.uid is None or self._has_reserve(client):
            return self._admit(client)
        count = self._count(lambda other: other.uid == client.uid)
        if count < share:
            return self._admit(client)
        return Busy(
            f"The user with uid {client.uid} has {count} connections, which is a user's share;"
            " close one, or try again later.",
            {"queue_length": count, "uid": client.uid},
        )

    def _count(self, is_counted: Callable[[Peer], bool]) -> int:
        """Count connections. One that has just left may not have been noticed yet."""
        return sum(
            is_counted(other.conversation.peer) and not self.has_gone(other.transport)
            for other in self.connections
        )

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
