"""The thread that calls the library."""

from __future__ import annotations

import threading
from typing import Any

from twisted.python.threadpool import ThreadPool


class _DaemonThread(threading.Thread):
    """A daemon thread: the library may hang in it for ever, and the process must be able to end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class NPUThreadPool(ThreadPool):
    """A pool of exactly one thread, the NPU's."""

    threadFactory = _DaemonThread

    def __init__(self) -> None:
        super().__init__(minthreads=1, maxthreads=1, name="npu")
