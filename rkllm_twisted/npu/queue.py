"""Fair turns at something that only one can use at a time.

Turns go round the clients, not round the requests: who has eight requests waiting delays another
client's single one by at most one turn.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable

from twisted.internet.defer import Deferred, fail, succeed

from rkllm_twisted.errors import Busy, RPCError

#: How many may wait in all, unless told otherwise.
QUEUE_LIMIT = 64


class FairQueue:
    """A queue of turns.

    :param limit: how many may wait, the one whose turn it is not counted.
    """

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._taken = False
        self._waiting: OrderedDict[Hashable, deque[Deferred[None]]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def waiting(self) -> list[tuple[Hashable, int]]:
        """How many turns each client waits for, in the order in which they come round."""
        return [(client, len(turns)) for client, turns in self._waiting.items()]

    def take(self, client: Hashable) -> Deferred[None]:
        """Queue for a turn.

        :param client: whose turn it will be; the turns go round these.
        :returns: a Deferred that fires when the turn has come; :meth:`done` must follow. Cancelled
            before that, it leaves the queue. It has failed with Busy where the queue is full.
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

    def done(self) -> None:
        """End the turn under way; the next begins at once."""
        if not self._waiting:
            self._taken = False
            return
        client, turns = self._waiting.popitem(last=False)
        turn = turns.popleft()
        if turns:
            self._waiting[client] = turns  # to the end of the round
        turn.callback(None)

    def dismiss(self, error: RPCError) -> None:
        """Fail every turn that waits."""
        waiting, self._waiting = self._waiting, OrderedDict()
        for turns in waiting.values():
            for turn in turns:
                turn.errback(error)

    def _leave(self, client: Hashable, turn: Deferred[None]) -> None:
        turns = self._waiting.get(client, deque())
        if turn in turns:  # else it was dismissed
            turns.remove(turn)
            if not turns:
                del self._waiting[client]
