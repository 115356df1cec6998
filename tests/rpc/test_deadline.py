"""A deadline that is begun again keeps one timer."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.task import Clock

from rkllm_twisted.rpc.deadline import PAUSE_S, Deadline


def test_a_deadline_that_is_begun_again_ends_later_with_one_timer() -> None:
    """Each token begins it again; the time is counted from the last one."""
    clock, ends = Clock(), []
    deadline = Deadline(clock, 10, lambda: ends.append(clock.seconds()))
    for _ in range(50):
        clock.advance(0.5)
        deadline.restart()
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([0.5] * 19)
    assert ends == []
    clock.advance(0.5)
    assert ends == [35]
    assert not deadline.active()
    deadline.restart()
    clock.pump([1] * 30)
    assert ends == [35], "it has ended"


def test_a_cancelled_deadline_never_ends() -> None:
    clock, ends = Clock(), []
    deadline = Deadline(clock, 10, lambda: ends.append(1))
    deadline.restart()
    deadline.cancel()
    deadline.restart()
    clock.pump([1] * 30)
    assert (ends, clock.getDelayedCalls()) == ([], [])


def test_a_pause_after_it_was_begun_again_is_not_counted() -> None:
    clock, ends = Clock(), []
    deadline = Deadline(clock, 10, lambda: ends.append(clock.seconds()))
    clock.advance(5)
    deadline.restart()
    clock.advance(10 + PAUSE_S + 1)
    assert ends == []
    clock.pump([1] * 10)
    assert ends == [28]


def test_a_deadline_that_has_ended_is_freed_without_the_collector() -> None:
    """There is one for each client that waits, twice a second."""
    clock = Clock()
    deadline = Deadline(clock, 1, lambda: None)
    freed = weakref.ref(deadline)
    gc.collect()
    gc.disable()
    try:
        clock.advance(1)
        del deadline
        assert freed() is None
    finally:
        gc.enable()
