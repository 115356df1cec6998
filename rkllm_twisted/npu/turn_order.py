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
from itertools import islice, zip_longest
from typing import Generic, TypeVar

import attrs

#: How many calls may be served before one that would have been served first.
MAX_PASSES = 2

T = TypeVar("T")
#: True if a call continues what the cache holds now.
Continues = Callable[[], bool]


@attrs.define(eq=False)
class _Place(Generic[T]):
    """A call's place in the round of its client.

    :param passed: how many calls have passed it.
    :param has_begun: True if the call has passed others, and its client has had this turn.
    """

    value: T
    continues: Continues | None
    passed: int = 0
    has_begun: bool = False


class TurnOrder(Generic[T]):
    """The calls that wait, in the order of their turns. Iteration yields them.

    :param max_passes: see :data:`MAX_PASSES`.
    """

    def __init__(self, max_passes: int = MAX_PASSES) -> None:
        self._max_passes = max_passes
        self._places: OrderedDict[Hashable, deque[_Place[T]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """The number of calls that wait."""
        return self._count

    def __iter__(self) -> Iterator[T]:
        """Yield the calls in the order of their turns, if none passes another."""
        return (place.value for place in self._in_order())

    def waiting(self, most: int) -> list[tuple[Hashable, int]]:
        """The next clients and the numbers of their calls that wait, in the order of the turns.

        :param most: how many clients are wanted.
        """
        # Copies: the NPU thread may look while the reactor adds and removes.
        counts = (
            (client, sum(not place.has_begun for place in list(places)))
            for client, places in list(self._places.items())
        )
        return list(islice((each for each in counts if each[1]), most))

    @property
    def clients(self) -> int:
        """The number of clients that wait."""
        return len(self._places)  # what has begun is dropped where nothing waits behind it

    def add(self, value: T, client: Hashable, continues: Continues | None = None) -> None:
        """Add a call; it waits until :meth:`next` returns it.

        :param value: the call.
        :param client: the turns go round the clients.
        :param continues: see :data:`Continues`; None: the call belongs to no conversation.
        """
        self._places.setdefault(client, deque()).append(_Place(value, continues))
        self._count += 1

    def remove(self, value: T, client: Hashable) -> None:
        """Remove a call that was cancelled. No effect if it does not wait."""
        for place in self._places.get(client, ()):
            if place.value is value and not place.has_begun:
                self._places[client].remove(place)
                self._count -= 1
                break
        self._drop_empty_places()

    def next(self) -> T | None:
        """Return the call that has the next turn; None if none waits. It waits no longer."""
        places = list(self._in_order())
        if not places:
            return None
        at = self._first_that_continues(places)
        for passed in places[:at]:
            passed.passed += 1
        places[at].has_begun = True
        self._count -= 1
        self._drop_empty_places()
        return places[at].value

    def clear(self) -> list[T]:
        """Remove all calls, and return them."""
        removed = list(self)
        self._places.clear()
        self._count = 0
        return removed

    def _in_order(self) -> Iterator[_Place[T]]:
        for turns in zip_longest(*self._places.values()):
            for place in turns:
                if place is not None and not place.has_begun:
                    yield place

    def _first_that_continues(self, places: list[_Place[T]]) -> int:
        """Return the index of the first call that continues and may pass, else 0."""
        for at, place in enumerate(places):
            if place.continues is None:
                break
            if place.continues():
                return at
            if place.passed >= self._max_passes:
                break
        return 0

    def _drop_empty_places(self) -> None:
        """Go on with the round, up to the first call that waits."""
        for client, places in list(self._places.items()):
            while places and places[-1].has_begun:  # it would delay later calls only
                places.pop()
            if not places:
                del self._places[client]
        while self._places:
            client, places = next(iter(self._places.items()))
            if not places[0].has_begun:
                return
            places.popleft()
            self._places.move_to_end(client)
