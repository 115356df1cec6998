"""The thread that calls the library."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.npu.queue import QUEUE_LIMIT
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.npu.timeouts import Timeouts
from rkllm_twisted.runtime_interfaces import IHistory


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


def thread_npu(
    reactor: Any,
    pool: ThreadPool,
    runtime: IRuntime,
    queue_limit: int = QUEUE_LIMIT,
    history: IHistory | None = None,
    timeouts: Timeouts | None = None,
) -> ThreadNPU:
    """Make an NPU of a runtime and a thread pool.

    :param pool: a pool of one thread, which the caller starts and stops.
    :param timeouts: of calls; None: calls may take any time.
    """
    in_thread = partial(deferToThreadPool, reactor, pool)
    npu = ThreadNPU(runtime, in_thread, reactor.callFromThread, queue_limit, history)
    if timeouts is not None:
        npu.set_timeouts(reactor, timeouts)
    return npu
