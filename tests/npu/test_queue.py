"""Fair turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from rkllm_twisted.errors import Busy, ShuttingDown
from rkllm_twisted.npu.queue import FairQueue


def failure_of(deferred: Deferred[None]) -> type[BaseException] | None:
    """The exception type that a Deferred has failed with, if it has."""
    seen: list[type[BaseException]] = []
    deferred.addErrback(lambda failure: seen.append(failure.type))
    return seen[0] if seen else None


def test_the_first_turn_comes_at_once() -> None:
    """A free NPU is granted without waiting."""
    turns = FairQueue()
    assert turns.acquire("a").called
    assert len(turns) == 0


def test_a_turn_comes_when_the_one_before_is_done() -> None:
    """At most one request has the turn."""
    turns = FairQueue()
    turns.acquire("a")
    second = turns.acquire("a")
    assert not second.called
    turns.release()
    assert second.called


def test_eight_requests_of_one_client_delay_another_by_one_turn() -> None:
    """The clients take turns."""
    turns = FairQueue()
    order: list[str] = []
    for number in range(8):
        turns.acquire("greedy").addCallback(lambda _, n=number: order.append(f"greedy{n}"))
    turns.acquire("modest").addCallback(lambda _: order.append("modest"))
    turns.release()
    turns.release()
    assert order == ["greedy0", "greedy1", "modest"]


def test_a_full_queue_refuses_with_its_length() -> None:
    """The error comes at once."""
    turns = FairQueue(limit=2)
    for _ in range(3):
        turns.acquire("a")
    refused: list[Busy] = []
    turns.acquire("b").addErrback(lambda failure: refused.append(failure.value))
    assert refused[0].data == {"queue_length": 2}


def test_a_cancelled_turn_leaves_the_queue() -> None:
    """It fails with CancelledError, and its place in the queue is free."""
    turns = FairQueue(limit=1)
    turns.acquire("a")
    waiting = turns.acquire("a")
    waiting.cancel()
    assert failure_of(waiting) is CancelledError
    assert len(turns) == 0
    turns.release()
    assert turns.acquire("b").called


def test_dismissed_turns_fail_with_the_reason() -> None:
    """Shutting down empties the queue."""
    turns = FairQueue()
    turns.acquire("a")
    waiting = turns.acquire("b")
    turns.fail_all(ShuttingDown("over"))
    assert failure_of(waiting) is ShuttingDown
    assert len(turns) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["take", "cancel", "done"]))))
def test_one_turn_at_a_time_and_none_is_lost(steps: list[tuple[str, str]]) -> None:
    """In any order of events, at most one holds the turn and every waiting one gets it."""
    turns = FairQueue(limit=1000)
    waiting: list[Deferred[None]] = []
    held = came = asked = dropped = 0

    def come(_: None) -> None:
        nonlocal held, came
        held += 1
        came += 1
        assert held == 1

    for client, step in steps:
        if step == "take":
            asked += 1
            turn = turns.acquire(client)
            waiting.append(turn)
            turn.addCallbacks(come, lambda failure: failure.trap(CancelledError) and None)
        elif step == "cancel" and waiting:
            turn = waiting.pop()
            dropped += not turn.called
            turn.cancel()
        elif step == "done" and held:
            held -= 1
            turns.release()
    while held:
        held -= 1
        turns.release()
    assert came == asked - dropped
    assert len(turns) == 0


@pytest.mark.parametrize("limit", [0, 3])
def test_the_one_whose_turn_it_is_does_not_count_as_waiting(limit: int) -> None:
    """The limit counts only waiting requests."""
    turns = FairQueue(limit)
    assert turns.acquire("a").called
    waiting = [turns.acquire("a") for _ in range(limit)]
    assert failure_of(turns.acquire("a")) is Busy
    assert len(turns) == len(waiting) == limit
