"""A fair queue for something that one client at a time can use.

The turns go round the clients, not round the requests: a client with eight requests delays the
single request of another by at most one turn.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable

from twisted.internet.defer import Deferred, fail, succeed

from rkllm_twisted.errors import Busy, RPCError

#: How many calls may wait in all, by default.
QUEUE_LIMIT = 64


class FairQueue:
    """A queue of turns.

    :param limit: how many calls may wait; the one that has the turn does not count.
    """

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._taken = False
        self._waiting: OrderedDict[Hashable, deque[Deferred[None]]] = OrderedDict()

    def __len__(self) -> int:
        """The number of calls that wait."""
        return sum(map(len, self._waiting.values()))

    def waiting(self) -> list[tuple[Hashable, int]]:
        """Each client and the number of its calls that wait, in the order of the next turns."""
        # A copy: the NPU thread may look while the reactor adds and removes.
        return [(client, len(turns)) for client, turns in list(self._waiting.items())]

    def acquire(self, client: Hashable) -> Deferred[None]:
        """Wait for a turn.

        :param client: the turns go round the clients.
        :returns: a Deferred that fires when the turn has come; call :meth:`release` at its end. If
            it is cancelled before, it leaves the queue. It has failed with Busy if the queue is
            full.
        """
        if not self._taken:
            self._taken = True
            return succeed(None)
        length = len(self)
        if length >= self._limit:
            return fail(
                Busy(
                    f"The NPU is busy and {length} calls already wait; try again later.",
                    {"queue_length": length},
                )
            )
        turn: Deferred[None] = Deferred(lambda cancelled: self._leave(client, cancelled))
        self._waiting.setdefault(client, deque()).append(turn)
        return turn

    def release(self) -> None:
        """End the current turn; the next one begins at once."""
        if not self._waiting:
            self._taken = False
            return
        client, turns = self._waiting.popitem(last=False)
        turn = turns.popleft()
        if turns:
            self._waiting[client] = turns  # now the last of the round
        turn.callback(None)

    def fail_all(self, error: RPCError) -> None:
        """Fail every turn that waits."""
        waiting, self._waiting = self._waiting, OrderedDict()
        for turns in waiting.values():
            for turn in turns:
                turn.errback(error)

    def _leave(self, client: Hashable, turn: Deferred[None]) -> None:
        turns = self._waiting.get(client, deque())
        if turn in turns:  # else fail_all() has taken it
            turns.remove(turn)
            if not turns:
                del self._waiting[client]
