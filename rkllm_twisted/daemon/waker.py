"""Makes waking the reactor cheaper: each token from the NPU's thread does it.

Twisted's waker writes and reads its byte through a dozen functions, as many as the daemon's own on
a token's way through the NPU's thread.
"""

from __future__ import annotations

import os
from typing import Any

#: More bytes than are waiting: a wake-up writes one.
READ_BYTES = 8192


def wake_directly(reactor: Any) -> None:
    """Make a reactor's waker write and read its pipe itself. Idempotent.

    :param reactor: one that has begun to run. Another kind of waker stays as it is.
    """
    waker: Any = getattr(reactor, "waker", None)
    if not (hasattr(waker, "i") and hasattr(waker, "o")):
        return

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
