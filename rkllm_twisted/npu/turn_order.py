"""Decides which of the calls that wait has the next turn.

The turns go round the clients, not round the calls: a client with eight calls delays the single
call of another by at most one turn.

A call that continues what the cache holds may pass others, because it reads only its new part: the
turns A A B B cost less than A B A B. It leaves its place in the round empty, so that the others
keep their order. No call is passed more than :data:`MAX_PASSES` times, and one that belongs to no
conversation is never passed.

Pure: the caller says when a turn ends.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import attrs

#: How many calls may be served before one that would have been served first.
MAX_PASSES = 2

T = TypeVar("T", bound=Hashable)
#: True if a call continues what the cache holds now.
Continues = Callable[[], bool]


@attrs.define(eq=False)
class _Place(Generic[T]):
    """A call's place in the round of its client.

    :param passed: how many calls have passed it.
    :param has_begun: True if the call has passed others, and its client has had this turn.
    """

    value: T
    client: Hashable
    continues: Continues | None
    passed: int = 0
    has_begun: bool = False


@attrs.define(eq=False)
class _Places(Generic[T]):
    """The places of one client. The last one waits, else there are none.

    :ivar begun: how many of them have begun.
    """

    places: deque[_Place[T]] = attrs.field(factory=deque)
    begun: int = 0


class TurnOrder(Generic[T]):
    """The calls that wait, in the order of their turns. Iteration yields them.

    :param max_passes: see :data:`MAX_PASSES`.
    """

    def __init__(self, max_passes: int = MAX_PASSES) -> None:
        self._max_passes = max_passes
        self._clients: OrderedDict[Hashable, _Places[T]] = OrderedDict()
        #: Those of the calls that wait. A cancelled call is found without a function that knows its
        #: client: thousands of those would be more for Python's collector to look at.
        self._waiting: dict[T, _Place[T]] = {}

    def __len__(self) -> int:
        """The number of calls that wait."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        """Yield the calls in the order of their turns, if none passes another."""
        return (place.value for place in self._in_order())

    def waiting(self, most: int) -> list[tuple[Hashable, int]]:
        """The next clients and the numbers of their calls that wait, in the order of the turns.

        :param most: how many clients are wanted.
        """
        # A copy: the NPU thread may look while the reactor adds and removes.
        first = list(islice(self._clients.items(), most))
        return [(client, len(of.places) - of.begun) for client, of in first]

    @property
    def clients(self) -> int:
        """The number of clients that wait."""
        return len(self._clients)

    def add(self, value: T, client: Hashable, continues: Continues | None = None) -> None:
        """Add a call; it waits until :meth:`next` returns it.

        :param value: the call, which does not wait yet.
        :param client: the turns go round the clients.
        :param continues: see :data:`Continues`; None: the call belongs to no conversation.
        """
        of = self._clients.get(client)
        if of is None:
            of = self._clients[client] = _Places()
        place = self._waiting[value] = _Place(value, client, continues)
        of.places.append(place)

    def remove(self, value: T) -> None:
        """Remove a call that was cancelled. No effect if it does not wait."""
        place = self._waiting.pop(value, None)
        if place is not None:
            self._clients[place.client].places.remove(place)
            self._tidy(place.client)

    def next(self) -> T | None:
        """Return the call that has the next turn; None if none waits. It waits no longer."""
        place = self._next_place()
        if place is None:
            return None
        self._begin(place)
        return place.value

    def take(self, value: T) -> None:
        """Give a call its turn before its time, because those before it cannot begin.

        The others keep their order. No effect on a call that does not wait.
        """
        place = self._waiting.get(value)
        if place is not None:
            self._begin(place)

    def clear(self) -> list[T]:
        """Remove all calls, and return them."""
        removed = list(self)
        self._clients.clear()
        self._waiting.clear()
        return removed

    def _begin(self, place: _Place[T]) -> None:
        del self._waiting[place.value]
        place.has_begun = True
        self._clients[place.client].begun += 1
        self._tidy(place.client)

    def _in_order(self) -> Iterator[_Place[T]]:
        # Lazily, since mostly the first one is wanted, and thousands may wait.
        depth, goes_on = 0, True
        while goes_on:
            goes_on = False
            for of in self._clients.values():
                if len(of.places) > depth:
                    goes_on = True
                    if not of.places[depth].has_begun:
                        yield of.places[depth]
            depth += 1

    def _next_place(self) -> _Place[T] | None:
        """Return the place of the first call that continues and may pass, else the first."""
        before: list[_Place[T]] = []
        for place in self._in_order():
            if place.continues is None:
                break
            if place.continues():
                for passed in before:
                    passed.passed += 1
                return place
            before.append(place)
            if place.passed >= self._max_passes:
                break
        else:
            return before[0] if before else None
        return before[0] if before else place

    def _tidy(self, client: Hashable) -> None:
        """Go on with the round, up to the first call that waits.

        :param client: the only one whose last place may not wait.
        """
        of = self._clients[client]
        while of.places and of.places[-1].has_begun:  # it would delay later calls only
            of.places.pop()
            of.begun -= 1
        if not of.places:
            del self._clients[client]
        while self._clients:
            client, of = next(iter(self._clients.items()))
            if not of.places[0].has_begun:
                return
            of.places.popleft()
            of.begun -= 1
            self._clients.move_to_end(client)
