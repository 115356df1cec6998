"""Makes waking the reactor cheaper: each token from the NPU's thread does it.

Twisted's waker writes a byte to a pipe and, in the reactor's thread, reads it through a dozen
functions, as many as the daemon's own on a token's way through the NPU's thread. The names of the
reactor's epoll object and of the pipe's ends are private to Twisted: without them nothing changes.
"""

from __future__ import annotations

import os
import select
import sys
from functools import partial
from typing import Any

#: What is added to the event's counter. It holds 2 ** 64 - 2, and nothing reads it.
_ONE = (1).to_bytes(8, sys.byteorder)
#: More bytes than are waiting: a wake-up writes one.
READ_BYTES = 8192


def wake_directly(reactor: Any) -> None:
    """Make waking a reactor cost one system call and hardly any of Python. Idempotent.

    :param reactor: one that has begun to run. One of an unknown kind stays as it is.
    """
    poller = getattr(reactor, "_poller", None)
    waker: Any = getattr(reactor, "waker", None)
    if isinstance(poller, select.epoll) and hasattr(reactor, "wakeUp"):
        if "wakeUp" not in vars(reactor):
            reactor.wakeUp = _by_edges(poller)
    elif hasattr(waker, "i") and hasattr(waker, "o"):
        _by_pipe(waker)


def _by_edges(poller: select.epoll) -> partial[int | None]:
    """Return what wakes a reactor by an eventfd(2) that is never read.

    It is reported once for each write (EPOLLET). The reactor's epoll_wait returns, and the reactor
    ignores a descriptor that it does not know; then it makes the calls from threads, as in each
    turn. The descriptor stays open as long as the function: a thread may call late. The reactor's
    own waker stays, for signals.
    """
    event = os.fdopen(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), "wb", buffering=0)
    poller.register(event.fileno(), select.EPOLLIN | select.EPOLLET)
    return partial(event.write, _ONE)


def _by_pipe(waker: Any) -> None:
    """Make a waker write and read its pipe itself."""

    # The descriptors are looked up each time: the waker removes them when it closes them.
    def wake_up() -> None:
        try:  # noqa: SIM105 - contextlib.suppress would be three calls more
            os.write(waker.o, b"x")
        except BlockingIOError:
            pass  # it is full, so the reactor will wake

    def do_read() -> None:
        try:  # noqa: SIM105 - as above
            os.read(waker.i, READ_BYTES)
        except BlockingIOError:
            pass

    waker.wakeUp, waker.doRead = wake_up, do_read
