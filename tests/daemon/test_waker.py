"""The waker that takes no detours wakes as Twisted's own does."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
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


@pytest.fixture
def poll_reactor() -> Iterator[PollReactor]:
    """A reactor without epoll, whose waker is a pipe."""
    made = PollReactor()
    made.installWaker()
    wake_directly(made)
    yield made
    made.removeAll()
    for descriptor in (made.waker.i, made.waker.o):
        os.close(descriptor)


def _turn(reactor: Any, seconds: float) -> None:
    reactor.doIteration(seconds)
    reactor.runUntilCurrent()


def _wakes_at_once(reactor: Any) -> bool:
    """True if a wait of 50 ms ends before its time."""
    began = time.monotonic()
    reactor.doIteration(0.05)
    return time.monotonic() - began < 0.045


@pytest.mark.parametrize("kind", ["reactor", "poll_reactor"])
def test_a_thread_wakes_the_reactor_each_time(kind: str, request: pytest.FixtureRequest) -> None:
    """A reactor that waits for ever returns when a thread calls, the second time as the first."""
    reactor, called = request.getfixturevalue(kind), []
    for number in range(3):
        thread = threading.Timer(0.02, reactor.callFromThread, (called.append, number))
        thread.start()
        _turn(reactor, 60)
        thread.join()
        assert called.pop() == number


@pytest.mark.parametrize("kind", ["reactor", "poll_reactor"])
def test_a_wake_up_before_the_wait_is_not_lost(kind: str, request: pytest.FixtureRequest) -> None:
    """Those that come together wake it once; then it waits."""
    reactor = request.getfixturevalue(kind)
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


def test_a_pipe_is_emptied(poll_reactor: PollReactor) -> None:
    """Else the reactor would wake for ever."""
    poll_reactor.wakeUp()
    poll_reactor.doIteration(60)
    with pytest.raises(BlockingIOError):
        os.read(poll_reactor.waker.i, 1)


def test_a_full_pipe_is_no_error(poll_reactor: PollReactor) -> None:
    """The reactor wakes anyway; an empty pipe is none either."""
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(poll_reactor.waker.o, b"x" * 4096)
    poll_reactor.wakeUp()
    with contextlib.suppress(BlockingIOError):
        while True:
            os.read(poll_reactor.waker.i, 65536)
    poll_reactor.waker.doRead()


def test_a_closed_pipe_is_not_written_to(poll_reactor: PollReactor) -> None:
    """Its number may belong to a file of somebody else's by then."""
    waker = poll_reactor.waker
    kept = waker.i, waker.o
    del waker.i, waker.o
    with pytest.raises(AttributeError):
        waker.wakeUp()
    waker.i, waker.o = kept


def test_another_kind_of_waker_stays_as_it_is() -> None:
    """A reactor that has none, or one without a pipe, is left alone."""
    waker = SimpleNamespace(wakeUp=None)
    wake_directly(SimpleNamespace(waker=waker))
    wake_directly(SimpleNamespace(waker=None))
    wake_directly(SimpleNamespace())
    assert waker.wakeUp is None
