"""The waker that takes no detours wakes as Twisted's own does."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from twisted.internet.epollreactor import EPollReactor

from rkllm_twisted.daemon.waker import wake_directly


@pytest.fixture
def reactor() -> Iterator[EPollReactor]:
    """A reactor of its own, whose waker is a pipe."""
    made = EPollReactor()
    made.installWaker()
    wake_directly(made)
    yield made
    made.removeAll()
    for descriptor in (made.waker.i, made.waker.o):
        os.close(descriptor)


def test_a_thread_wakes_the_reactor(reactor: EPollReactor) -> None:
    """A reactor that waits for ever returns when a thread calls, and has emptied the pipe."""
    called: list[str] = []
    thread = threading.Timer(0.02, reactor.callFromThread, (called.append, "x"))
    thread.start()
    reactor.doIteration(60)
    reactor.runUntilCurrent()
    thread.join()
    assert called == ["x"]
    with pytest.raises(BlockingIOError):
        os.read(reactor.waker.i, 1)


def test_a_full_pipe_is_no_error(reactor: EPollReactor) -> None:
    """The reactor wakes anyway; an empty pipe is none either."""
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(reactor.waker.o, b"x" * 4096)
    reactor.wakeUp()
    with contextlib.suppress(BlockingIOError):
        while True:
            os.read(reactor.waker.i, 65536)
    reactor.waker.doRead()


def test_a_closed_pipe_is_not_written_to(reactor: EPollReactor) -> None:
    """Its number may belong to a file of somebody else's by then."""
    waker = reactor.waker
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
