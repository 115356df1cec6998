"""The thread in which the library is called."""

from __future__ import annotations

import threading
from typing import Any

from twisted.python.threadpool import ThreadPool


class _DaemonThread(threading.Thread):
    """A thread that cannot keep the process alive: the library may hang in it for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class NPUThreadPool(ThreadPool):
    """A pool of exactly one thread, the NPU's."""

    threadFactory = _DaemonThread

    def __init__(self) -> None:
        super().__init__(minthreads=1, maxthreads=1, name="npu")
