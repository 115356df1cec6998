"""Makes waking the reactor cheaper: each token from the NPU's thread does it.

Twisted's waker writes a byte to a pipe and, in the reactor's thread, reads it through a dozen
functions, as many as the daemon's own on a token's way through the NPU's thread. The name of the
reactor's epoll object is private to Twisted: without it nothing changes.
"""

from __future__ import annotations

import os
import select
import sys
from functools import partial
from typing import Any

#: What is added to the event's counter. It holds 2 ** 64 - 2, and nothing reads it.
_ONE = (1).to_bytes(8, sys.byteorder)


def wake_directly(reactor: Any) -> None:
    """Make waking a reactor cost one system call and hardly any of Python. Idempotent.

    :param reactor: one that has begun to run. One without epoll stays as it is.
    """
    poller = getattr(reactor, "_poller", None)
    if isinstance(poller, select.epoll) and "wakeUp" not in vars(reactor):
        reactor.wakeUp = _by_edges(poller)


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
