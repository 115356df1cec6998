"""The waker that takes no detours wakes as Twisted's own does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor

from rkllm_twisted.daemon.waker import wake_directly


@pytest.fixture
def reactor() -> Iterator[EPollReactor]:
    """A reactor of its own, woken by an event."""
    made = EPollReactor()
    made.installWaker()
    wake_directly(made)
    yield made
    made.wakeUp.func.__self__.close()
    made.removeAll()
    made.waker.connectionLost(None)


def _turn(reactor: Any, seconds: float) -> None:
    reactor.doIteration(seconds)
    reactor.runUntilCurrent()


def _wakes_at_once(reactor: Any) -> bool:
    """True if a wait of 50 ms ends before its time."""
    began = time.monotonic()
    reactor.doIteration(0.05)
    return time.monotonic() - began < 0.045


def test_a_thread_wakes_the_reactor_each_time(reactor: EPollReactor) -> None:
    """A reactor that waits for ever returns when a thread calls, the second time as the first."""
    called: list[int] = []
    for number in range(3):
        thread = threading.Timer(0.02, reactor.callFromThread, (called.append, number))
        thread.start()
        _turn(reactor, 60)
        thread.join()
        assert called.pop() == number


def test_a_wake_up_before_the_wait_is_not_lost(reactor: EPollReactor) -> None:
    """Those that come together wake it once; then it waits."""
    for _ in range(2):
        reactor.wakeUp()
        reactor.wakeUp()
        began = time.monotonic()
        reactor.doIteration(60)
        assert time.monotonic() - began < 30
    assert not _wakes_at_once(reactor)


def test_an_event_is_not_read_and_the_pipe_not_written(reactor: EPollReactor) -> None:
    """The reactor does not know the descriptor; to read it would be a system call more."""
    reactor.wakeUp()
    reactor.doIteration(60)
    with pytest.raises(BlockingIOError):
        os.read(reactor.waker.i, 1)


def test_a_second_time_changes_nothing(reactor: EPollReactor) -> None:
    """Else each would leave a descriptor."""
    before = reactor.wakeUp
    wake_directly(reactor)
    assert reactor.wakeUp is before


def test_a_reactor_without_epoll_keeps_its_waker() -> None:
    """The other kinds are woken as Twisted wakes them."""
    reactor = PollReactor()
    reactor.installWaker()
    wake_directly(reactor)
    assert "wakeUp" not in vars(reactor)
    reactor.removeAll()
    reactor.waker.connectionLost(None)
