"""The reactor's time and the memory for input, divided between the connections.

Both are limited for all connections together: a hundred clients that send garbage as fast as they
can get as much as one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import Attribute, Interface

from rkllm_twisted.errors import Busy, RPCError

#: Seconds of one turn of the reactor that the messages of all connections may take; a message that
#: has begun is not interrupted.
TURN_BUDGET_S = 0.002


class IServerConnection(Interface):
    """A client's connection, for the code that divides time and memory between all of them."""

    transport = Attribute("Twisted's transport.")
    conversation = Attribute("The :class:`IConversation`; ``messages`` counts what came in.")

    def work() -> None:
        """Answer some messages, and ask for another turn if there are more."""

    def turn_away(error: RPCError) -> None:  # noqa: N805 - an interface has no self
        """Forget what came in, answer with an error, and close."""

    def drop(reason: str) -> None:  # noqa: N805
        """Close at once, and log why."""

    def shut_down() -> None:
        """Answer what is under way with ShuttingDown, then close."""


class RoundRobin:
    """Turns at the reactor, round the connections that have messages left.

    :param clock: the reactor.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._seconds = clock.seconds
        self._waiting: OrderedDict[IServerConnection, None] = OrderedDict()
        self._next: IDelayedCall | None = None
        self._begun = 0.0
        self._spent = 0.0

    def has_room_for(self, connection: IServerConnection) -> bool:
        """True if a connection may work now; otherwise :meth:`add` it."""
        return self._spent < TURN_BUDGET_S and connection not in self._waiting

    def add(self, connection: IServerConnection) -> None:
        """Queue for a turn."""
        self._waiting[connection] = None
        self._go_on()

    def remove(self, connection: IServerConnection) -> None:
        """Remove a connection from the queue."""
        self._waiting.pop(connection, None)
        if not self._waiting and self._next is not None:
            self._next.cancel()
            self._next = None
            self._spent = 0.0

    def begin(self) -> None:
        """Start to measure a connection's work."""
        self._begun = self._seconds()

    def may_go_on(self) -> bool:
        """Charge the time since the last call. True if this turn of the reactor has some left."""
        now = self._seconds()
        if now > self._begun:  # a wall clock may be set back
            self._spent += now - self._begun
        self._begun = now
        if self._next is None and self._spent > TURN_BUDGET_S / 5:
            self._go_on()  # the next turn of the reactor begins a new account
        return self._spent < TURN_BUDGET_S

    def is_over(self) -> bool:
        """True if the time of this turn is spent."""
        return self._spent >= TURN_BUDGET_S

    def _go_on(self) -> None:
        if self._next is None:
            self._next = self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._next = None
        self._spent = 0.0
        for _ in range(len(self._waiting)):
            if not self._waiting or self.is_over():
                break
            connection, _ = self._waiting.popitem(last=False)
            connection.work()
        if self._waiting:
            self._go_on()


class Budget:
    """A limit of bytes that all connections share; the connection that holds most pays for it.

    :param limit: in bytes, of all connections together.
    :param on_excess: called with the connection that holds most, once they hold more.
    :param spares_last: a connection that alone holds anything may hold more than the limit.
    """

    def __init__(
        self,
        limit: int,
        on_excess: Callable[[IServerConnection], None],
        spares_last: bool = False,
    ) -> None:
        self._limit = limit
        self._on_excess = on_excess
        self._spares_last = spares_last
        self._held: dict[IServerConnection, int] = {}
        self.total = 0

    def note(self, connection: IServerConnection, held: int) -> None:
        """Set the number of bytes that a connection holds."""
        before = self._held.pop(connection, 0)
        if held:
            self._held[connection] = held
        elif not before:
            return
        self.total += held - before
        if self.total > self._limit and not (self._spares_last and len(self._held) == 1):
            biggest = max(self._held, key=self._held.__getitem__)
            self.total -= self._held.pop(biggest)
            self._on_excess(biggest)


def input_budget(limit: int) -> Budget:
    """Make the budget of what came in and is not answered yet."""
    error = Busy(
        f"The daemon holds more than {limit} bytes of unfinished messages, and this connection most"
        " of them; send less at once, or later.",
        {"max_unparsed": limit},
    )
    return Budget(limit, lambda connection: connection.turn_away(error))


def output_budget(limit: int) -> Budget:
    """Make the budget of what waits to be read. One long result may be longer than the limit."""
    reason = f"all clients together leave more than {limit} bytes unread, and it most of them"
    return Budget(limit, lambda connection: connection.drop(reason), spares_last=True)
