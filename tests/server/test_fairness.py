"""The connections share the reactor's turns and the memory for input and output."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory_client import FakeMethod, MemoryClient, Pending, code, make_factory, request
from twisted.internet.task import Clock

from rkllm_twisted.errors import Busy, RPCError
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.server.fairness import TURN_BUDGET_S, Budget, RoundRobin
from rkllm_twisted.server.receive_buffer import PARSE_CHUNK
from rkllm_twisted.wire.framing import netstring

KIB = 1024
PING = b'{"jsonrpc":"2.0","method":"echo","id":1}'


class Worker:
    """A connection with a number of slow messages."""

    def __init__(
        self, rounds: RoundRobin, clock: Clock, messages: int, cost: float = 0.001
    ) -> None:
        self.rounds, self.clock = rounds, clock
        self.messages, self.cost = messages, cost
        self.handled = 0

    def work(self) -> None:
        self.rounds.begin()
        while self.messages:
            self.messages -= 1
            self.handled += 1
            self.clock.rightNow += self.cost  # advance() would begin another turn
            if not self.rounds.may_go_on():
                break
        if self.messages:
            self.rounds.add(self)

    def turn_away(self, error: RPCError) -> None:
        raise AssertionError(error)


def is_due(clock: Clock) -> bool:
    """Tell if the next turn of the reactor has work."""
    return any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls())


def turn(clock: Clock) -> float:
    """Run one turn of the reactor; return its duration."""
    begun = clock.seconds()
    due = [call for call in clock.getDelayedCalls() if call.getTime() <= begun]
    for call in due:
        clock.calls.remove(call)  # type: ignore[arg-type]
        call.called = 1  # type: ignore[attr-defined]
        call.func(*call.args, **call.kw)  # type: ignore[attr-defined]
    return clock.seconds() - begun


@pytest.mark.parametrize("many", [1, 100])
def test_a_turn_of_the_reactor_is_as_short_for_many_as_for_one(many: int) -> None:
    """A turn takes the budget and at most one message more."""
    clock = Clock()
    rounds = RoundRobin(clock)
    workers = [Worker(rounds, clock, 50) for _ in range(many)]
    for worker in workers:
        rounds.add(worker)
    turns = []
    while any(worker.messages for worker in workers):
        turns.append(turn(clock))
    assert max(turns) <= TURN_BUDGET_S + 0.0011
    assert sum(turns) == pytest.approx(many * 50 * 0.001)


def test_turns_go_round() -> None:
    """Every connection has a turn before any has a second one."""
    clock = Clock()
    rounds = RoundRobin(clock)
    workers = [Worker(rounds, clock, 1000, cost=2 * TURN_BUDGET_S) for _ in range(5)]
    for worker in workers:
        rounds.add(worker)
    for _ in range(12):
        turn(clock)
    assert sorted(worker.handled for worker in workers) == [2, 2, 2, 3, 3]


def test_who_leaves_gets_no_turn() -> None:
    """After the last one leaves, no turn is scheduled."""
    clock = Clock()
    rounds = RoundRobin(clock)
    worker = Worker(rounds, clock, 1)
    rounds.add(worker)
    assert not rounds.has_room_for(worker)
    rounds.remove(worker)
    assert rounds.has_room_for(worker)
    assert clock.getDelayedCalls() == []


def test_a_clock_that_is_set_back_costs_nobody_a_turn() -> None:
    """A clock that goes back does not use up the turn's time."""
    clock = Clock()
    rounds = RoundRobin(clock)
    rounds.begin()
    clock.rightNow -= 3600
    assert rounds.may_go_on()
    clock.rightNow += TURN_BUDGET_S / 2
    assert rounds.may_go_on()


def test_a_connections_messages_wait_when_the_turns_time_is_spent() -> None:
    """Other connections' messages in the same turn of the reactor wait, too."""
    clock = Clock()

    def slow(_: object) -> None:
        clock.rightNow += 2 * TURN_BUDGET_S

    factory = make_factory([FakeMethod("echo", slow)])
    factory.state.reactor = clock
    factory.state.rounds = RoundRobin(clock)
    first, second = MemoryClient(factory=factory), MemoryClient(factory=factory)
    first.send((PING + b"\n") * 3)
    second.send((PING + b"\n") * 3)
    assert [len(first.replies()), len(second.replies())] == [1, 0]
    assert second.transport.producerState == "paused"
    seen = []
    while is_due(clock):
        turn(clock)
        seen.append((len(first.replies()), len(second.replies())))
    assert [counts for counts in seen if any(counts)] == [(1, 0), (0, 1), (1, 0), (0, 1), (0, 1)]
    assert second.transport.producerState == "producing"


# The memory for what came in


def crowd(limit: int, *sizes: int) -> tuple[RPCFactory, list[MemoryClient]]:
    """Clients that have each sent a number of bytes of an unfinished message."""
    factory = make_factory([FakeMethod("echo"), FakeMethod("wait", Pending())], max_unparsed=limit)
    talks = [MemoryClient(factory=factory) for _ in sizes]
    for talk, size in zip(talks, sizes, strict=True):
        talk.send(b"[" + b" " * (size - 1))
    return factory, talks


def test_beyond_the_limit_the_biggest_holder_goes() -> None:
    """The biggest holder gets one error; the other connections stay open."""
    factory, [small, big, last] = crowd(100 * KIB, 30 * KIB, 50 * KIB, 15 * KIB)
    assert not big.closing
    last.send(b" " * 6 * KIB)
    [answer] = big.answers()
    assert code(answer) == Busy.code
    assert answer["id"] is None
    assert answer["error"]["data"] == {"max_unparsed": 100 * KIB}
    assert big.closing
    assert factory.state.input_budget.total == 51 * KIB
    for talk in (small, last):
        assert not talk.closing
        talk.send(b"]\n")
        assert code(talk.answers()[0]) == -32600  # an empty batch


@pytest.mark.parametrize(
    "begun", [b"9999999:" + b"x" * 60 * KIB, b"[" + b" " * 60 * KIB], ids=["netstring", "line"]
)
def test_a_message_that_has_begun_counts_in_both_framings(begun: bytes) -> None:
    """The message may be split anywhere."""
    factory = make_factory(max_unparsed=100 * KIB)
    one = MemoryClient(factory=factory)
    for at in range(0, len(begun), 1000):
        one.send(begun[at : at + 1000])
    assert 60 * KIB <= factory.state.input_budget.total <= 60 * KIB + 10
    two = MemoryClient(factory=factory)
    two.send(begun)
    assert [one.closing, two.closing].count(True) == 1


def test_what_is_handled_or_left_behind_does_not_count() -> None:
    """Nothing adds up over time."""
    factory = make_factory(max_unparsed=100 * KIB)
    talk = MemoryClient(factory=factory)
    for _ in range(10):
        talk.send(netstring(b"[" + b" " * 60 * KIB + b"]"))
        assert factory.state.input_budget.total == 0
    talk.send(b"60000:" + b"x" * 50_000)
    assert factory.state.input_budget.total == len(b"60000:") + 50_000
    talk.vanish()
    assert factory.state.input_budget.total == 0


def test_messages_that_wait_for_their_turn_count() -> None:
    """They have been read but not handled."""
    factory = make_factory(messages_per_turn=1)
    talk = MemoryClient(factory=factory)
    framed = netstring(json.dumps(request(1, "echo")).encode() + b" " * KIB)
    talk.send(framed * 20)
    assert factory.state.input_budget.total > 18 * KIB
    talk.clock.pump([0] * 20)
    assert len(talk.replies()) == 20
    assert factory.state.input_budget.total == 0


def test_who_is_turned_away_takes_its_requests_along() -> None:
    """They are cancelled like those of any broken connection."""
    pending = Pending()
    factory = make_factory([FakeMethod("wait", pending)], max_unparsed=KIB)
    talk = MemoryClient(factory=factory)
    talk.ask(request(1, "wait"))
    talk.send(b"[" + b" " * 2 * KIB)
    assert pending.cancelled == 1
    assert [code(answer) for answer in talk.answers()] == [Busy.code]
    assert factory.state.input_budget.total == 0
    talk.send(b" " * 2 * KIB)
    assert factory.state.input_budget.total == 0, "what still comes is not kept"


def test_the_account_is_exact() -> None:
    """Each connection counts once, with its latest number of bytes."""
    gone: list[Any] = []
    clock = Clock()
    hold = Budget(10, gone.append)
    one, two = (Worker(RoundRobin(clock), clock, 0) for _ in range(2))
    for held in (3, 7, 5):
        hold.note(one, held)
    hold.note(two, 5)
    assert (hold.total, gone) == (10, [])
    hold.note(two, 6)
    assert (hold.total, gone) == (5, [two])


def test_parsing_is_work_too() -> None:
    """A message that comes in many slices takes several turns where its parsing takes long."""
    clock = Clock()
    factory = make_factory([FakeMethod("echo")])
    factory.state.reactor = clock
    factory.state.rounds = RoundRobin(clock)
    talk = MemoryClient(factory=factory)
    talk.send(b"[")  # now it parses lines
    buffer = talk.protocol._input
    parse = buffer._parse

    def slow(data: bytes) -> None:
        clock.rightNow += 2 * TURN_BUDGET_S
        parse(data)

    buffer._parse = slow  # type: ignore[method-assign]
    talk.send(b"[" * 10 * PARSE_CHUNK)
    turns = 1
    while is_due(clock):
        assert turn(clock) < 3 * TURN_BUDGET_S
        turns += 1
    assert turns >= 10
    assert talk.transport.producerState == "producing"


# The memory for what goes out


def readers(limit: int, *sizes: int) -> list[MemoryClient]:
    """Clients that do not read, each with an answer of a given size."""
    factory = make_factory([FakeMethod("echo")], max_unread_total=limit, max_unread=10 * KIB)
    talks = [MemoryClient(factory=factory) for _ in sizes]
    for talk, size in zip(talks, sizes, strict=True):
        talk.transport.producer.pauseProducing()
        talk.ask(request(1, "echo", ["x" * size]))
    return talks


def test_beyond_the_limit_of_unread_bytes_the_biggest_holder_goes() -> None:
    """The client does not read, so the daemon sends no error."""
    [small, big, last] = readers(300 * KIB, 100 * KIB, 150 * KIB, 100 * KIB)
    assert [talk.closing for talk in (small, big, last)] == [False, True, False]
    assert small.factory.state.output_budget.total < 201 * KIB


def test_one_long_result_may_be_longer_than_the_limit() -> None:
    """A lower limit would prevent the client from ever reading it."""
    [alone] = readers(100 * KIB, 500 * KIB)
    assert not alone.closing


def test_what_is_read_does_not_count() -> None:
    """Nothing adds up."""
    [talk] = readers(100 * KIB, 500 * KIB)
    assert talk.factory.state.output_budget.total > 400 * KIB
    talk.transport.producer.resumeProducing()
    assert talk.factory.state.output_budget.total == 0
