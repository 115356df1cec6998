"""A reactor in a thread, for programs under test that have none, or block their own."""

from __future__ import annotations

import functools
import threading
from typing import Any

from twisted.internet.epollreactor import EPollReactor


@functools.cache
def background_reactor() -> Any:
    """The one of this process. It is started when it is first asked for, and goes on for ever."""
    reactor = EPollReactor()
    threading.Thread(
        target=reactor.run, args=(False,), name="rkllm-fake-reactor", daemon=True
    ).start()
    return reactor
