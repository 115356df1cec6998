"""Which call has the next turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rkllm_twisted.npu.turn_order import MAX_PASSES, TurnOrder

SOME = settings(max_examples=40, stateful_step_count=30, deadline=None)


class Cache:
    """Says which calls continue what the cache holds: those with its letter."""

    def __init__(self) -> None:
        self.order: TurnOrder[str] = TurnOrder()
        self.held = ""

    def add(self, *calls: str, client: str = "x") -> None:
        """Add calls such as A1. Those with a small letter belong to no conversation."""
        for call in calls:
            is_own = call.islower()
            letter = call[0]
            self.order.add(call, client, None if is_own else lambda of=letter: of == self.held)

    def next(self) -> str | None:
        call = self.order.next()
        if call is not None:
            self.held = call[0]
        return call

    def rest(self) -> str:
        """Return all turns from now on."""
        return " ".join(iter(self.next, None))


def cache_with(*calls: str, held: str = "") -> Cache:
    cache = Cache()
    cache.held = held
    cache.add(*calls)
    return cache


def test_calls_of_one_conversation_follow_each_other() -> None:
    assert cache_with("A1", "B1", "A2", "B2").rest() == "A1 A2 B1 B2"


def test_a_call_is_passed_twice_at_most() -> None:
    assert cache_with("B1", "A1", "A2", "A3", held="A").rest() == "A1 A2 B1 A3"


def test_a_call_of_no_conversation_is_not_passed() -> None:
    assert cache_with("A1", "r", "A2").rest() == "A1 r A2"


def test_a_call_that_passes_uses_up_its_clients_turn() -> None:
    cache = cache_with("B1", "E1", held="A")
    cache.add("A1", "C1", client="y")
    cache.add("D1", "F1", client="z")
    assert cache.rest() == "A1 B1 D1 E1 C1 F1"


def test_a_call_that_leaves_is_not_served_and_delays_none() -> None:
    cache = cache_with("B1", "A1", "A2", held="A")
    assert cache.next() == "A1"
    cache.order.remove("B1")
    cache.order.remove("B1")
    cache.order.remove("A1")
    assert cache.rest() == "A2"


def test_only_calls_that_wait_are_counted() -> None:
    cache = cache_with("B1", "A1", held="A")
    cache.add("C1", client="y")
    assert cache.next() == "A1"
    assert cache.order.waiting(9) == [("x", 1), ("y", 1)]
    assert len(cache.order) == 2
    assert cache.order.waiting(1) == [("x", 1)]
    assert cache.order.clients == 2
    assert cache.next() == "B1"
    assert cache.order.waiting(9) == [("y", 1)]
    assert cache.order.clients == 1
    assert cache.order.clear() == ["C1"]
    assert len(cache.order) == cache.order.clients == 0
    assert cache.next() is None


class Clients(RuleBasedStateMachine):
    """Clients that come and go, with calls of conversations and without."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache()
        self.passed: Counter[str] = Counter()
        self.turns_left: dict[str, int] = {}  # of calls that were their client's only one
        self.clients: dict[str, str] = {}

    @property
    def waiting(self) -> list[str]:
        return list(self.cache.order)

    @rule(client=st.sampled_from("xyz"), letter=st.sampled_from("ABCr"))
    def comes(self, client: str, letter: str) -> None:
        call, before = f"{letter}{len(self.clients)}", self.waiting
        self.cache.add(call, client=client)
        self.clients[call] = client
        after = self.waiting
        assert [one for one in after if one != call] == before, "no other call has moved"
        others = {self.clients[one] for one in before}
        if client not in others:
            self.turns_left[call] = len(others) + MAX_PASSES

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        before = self.waiting
        call = data.draw(st.sampled_from(before))
        self.cache.order.remove(call)
        assert sorted(self.waiting) == sorted(one for one in before if one != call)

    @rule()
    def a_turn_comes(self) -> None:
        before, held = self.waiting, self.cache.held
        call = self.cache.next()
        if call is None:
            assert not before
            return
        earlier = before[: before.index(call)]
        if earlier:
            assert call[0] == held, "only a call that continues may pass"
        self.passed.update(earlier)
        assert all(self.passed[one] <= MAX_PASSES for one in earlier)
        assert not any(one.islower() for one in earlier), "a call of no conversation is passed"
        assert self.waiting == [one for one in before if one != call], "the others have kept order"
        for one in self.waiting:
            if one in self.turns_left:
                self.turns_left[one] -= 1
                assert self.turns_left[one] >= 0, "a call waits for more than a turn of each client"

    @invariant()
    def the_queue_counts_those_that_wait(self) -> None:
        assert len(self.cache.order) == len(self.waiting)
        counts = self.cache.order.waiting(len(self.waiting))
        assert sum(count for _, count in counts) == len(self.waiting)
        assert self.cache.order.clients == len(counts)


TestClients = Clients.TestCase
TestClients.settings = SOME


class OwnCalls(RuleBasedStateMachine):
    """Calls of no conversation only: the turns go round the clients, as if none could pass."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache()
        self.number = 0
        self.expected: dict[str, list[str]] = {}

    @rule(client=st.sampled_from("xyz"))
    def comes(self, client: str) -> None:
        self.number += 1
        self.cache.add(f"r{self.number}", client=client)
        self.expected.setdefault(client, []).append(f"r{self.number}")

    @rule()
    def a_turn_comes(self) -> None:
        call = self.cache.next()
        if not self.expected:
            assert call is None
            return
        client, calls = next(iter(self.expected.items()))
        assert call == calls.pop(0)
        del self.expected[client]
        if calls:
            self.expected[client] = calls


TestOwnCalls = OwnCalls.TestCase
TestOwnCalls.settings = SOME


def test_a_call_that_is_taken_before_its_time_leaves_the_others_their_order() -> None:
    """Its client begins a round anew, behind the others."""
    order: TurnOrder[str] = TurnOrder()
    for value in ("a1", "b1", "a2", "c1"):
        order.add(value, value[0])
    order.take("b1")
    order.take("b1")
    order.add("b2", "b")
    assert len(order) == 4
    assert list(order) == ["a1", "c1", "b2", "a2"]
    order.take("d1")
    assert [order.next() for _ in range(5)] == ["a1", "c1", "b2", "a2", None]
