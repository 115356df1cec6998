"""A fair queue for something that one client at a time can use."""

from __future__ import annotations

from collections.abc import Hashable

from twisted.internet.defer import Deferred, fail, succeed

from rkllm_twisted.errors import Busy, RPCError
from rkllm_twisted.npu.turn_order import Continues, TurnOrder
from rkllm_twisted.values import Waiting

#: How many calls may wait in all, by default.
QUEUE_LIMIT = 64


def queue_full(length: int) -> Busy:
    """Make the error for a full queue.

    :param length: how many calls wait.
    """
    return Busy(
        f"The NPU is busy and {length} calls already wait; try again later.",
        {"queue_length": length},
    )


class FairQueue:
    """A queue of turns, in the order of :mod:`rkllm_twisted.npu.turn_order`.

    :param limit: how many calls may wait; the one that has the turn does not count.
    """

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._taken = False
        self._order: TurnOrder[Deferred[None]] = TurnOrder()

    def __len__(self) -> int:
        """The number of calls that wait."""
        return len(self._order)

    def waiting(self, most: int) -> tuple[Waiting, ...]:
        """Return the first clients that wait, in the order of the turns. From any thread."""
        return tuple([Waiting(*each) for each in self._order.waiting(most)])

    @property
    def clients(self) -> int:
        """The number of clients that wait."""
        return self._order.clients

    def acquire(self, client: Hashable, continues: Continues | None = None) -> Deferred[None]:
        """Wait for a turn.

        :param client: the turns go round the clients.
        :param continues: called between two turns; see :meth:`TurnOrder.add`.
        :returns: a Deferred that fires when the turn has come; call :meth:`release` at its end. If
            it is cancelled before, it leaves the queue. It has failed with Busy if the queue is
            full.
        """
        if not self._taken:
            self._taken = True
            return succeed(None)
        length = len(self)
        if length >= self._limit:
            return fail(queue_full(length))
        turn: Deferred[None] = Deferred(self._order.remove)
        self._order.add(turn, client, continues)
        return turn

    def release(self) -> None:
        """End the current turn; the next one begins at once."""
        turn = self._order.next()
        if turn is None:
            self._taken = False
        else:
            turn.callback(None)

    def fail_all(self, error: RPCError) -> None:
        """Fail every turn that waits."""
        for turn in self._order.clear():
            turn.errback(error)
