"""The one NPU: one thread, one model, one call at a time, in fair turns.

Every call of the library runs in one thread, because the library's callbacks come on the thread
that called ``rkllm_run`` and nothing is documented as thread-safe but ``rkllm_abort`` and
``rkllm_is_running``. What a caller holds is an outer Deferred: cancelling it answers the caller at
once, while the turn ends only when the thread is back from C.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from rkllm_twisted.errors import Cancelled, NoModel, RPCError, ShuttingDown
from rkllm_twisted.interfaces import (
    INPU,
    IRuntime,
    NPUStatus,
    OnResult,
    Params,
    Result,
    RuntimeVersion,
)
from rkllm_twisted.turns import Turns

InThread = Callable[..., Deferred[Any]]
FromThread = Callable[..., object]

#: ``_callback_state`` from this on ends a run (LLMCallState: 2 finish, 3 error).
FINISH, ERROR = 2, 3
#: What the NPU's state is called while these calls are under way.
STATES = {"rkllm_init": "loading", "rkllm_run": "running", "rkllm_run_async": "running"}


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


def thread_npu(
    reactor: IReactorFromThreads, pool: ThreadPool, runtime: IRuntime, queue_limit: int = 64
) -> ThreadNPU:
    """Put a runtime in a pool's thread.

    :param pool: of one thread; starting and stopping it is the caller's.
    """
    in_thread = partial(deferToThreadPool, reactor, pool)
    return ThreadNPU(runtime, in_thread, reactor.callFromThread, queue_limit)


class _Work:
    """One call on its way through the queue and the thread.

    :ivar outcome: what the caller holds.
    """

    def __init__(self, function: str, prepared: object, on_result: OnResult | None) -> None:
        self.function = function
        self.prepared = prepared
        self.on_result = on_result
        self.final: Result | None = None
        self.given_up = False
        self.outcome: Deferred[Result] = Deferred()

    def give_up(self, error: RPCError) -> None:
        """Answer the caller now; what the thread still does reaches nobody."""
        if not self.given_up and not self.outcome.called:
            self.given_up = True
            self.outcome.errback(error)

    def settle(self, result: Result | Failure) -> None:
        """Answer the caller with what the thread brought back."""
        if self.given_up or self.outcome.called:
            return
        if isinstance(result, Failure):
            self.outcome.errback(result)
        else:
            self.outcome.callback(result)

    def deliver(self, result: Result) -> None:
        """Hand one partial result to the caller, in the reactor thread."""
        if not self.given_up and self.on_result is not None:
            self.on_result(result)


@implementer(INPU)
class ThreadNPU:
    """An :class:`~rkllm_twisted.interfaces.INPU` over a blocking runtime in a thread of its own.

    :param runtime: touched in the NPU thread only, but for ``abort``, ``is_running``, ``prepare``.
    :param in_thread: runs a function in the NPU thread; returns a Deferred of its result.
    :param from_thread: ``reactor.callFromThread``.
    :param queue_limit: how many calls may wait.
    """

    def __init__(
        self,
        runtime: IRuntime,
        in_thread: InThread,
        from_thread: FromThread,
        queue_limit: int = 64,
    ) -> None:
        self._runtime = runtime
        self._in_thread = in_thread
        self._from_thread = from_thread
        self._turns = Turns(queue_limit)
        self._under_way: _Work | None = None
        self._closed: Deferred[None] | None = None
        self._state = "empty"
        self._model_path: str | None = None
        self._runs = self._tokens = 0

    def call(self, function: str, params: Params, client: Hashable = None) -> Deferred[Result]:
        """See :meth:`INPU.call`."""
        return self._queue(function, params, client, None)

    def run(
        self, function: str, params: Params, on_result: OnResult, client: Hashable = None
    ) -> Deferred[Result]:
        """See :meth:`INPU.run`."""
        return self._queue(function, params, client, on_result)

    def abort(self) -> Deferred[Result]:
        """See :meth:`INPU.abort`."""
        return execute(self._runtime.abort)

    def pause(self) -> Deferred[Result]:
        """See :meth:`INPU.pause`."""
        return execute(self._runtime.pause)

    def is_running(self) -> Deferred[Result]:
        """See :meth:`INPU.is_running`."""
        if not self._runtime.loaded:
            return fail(NoModel("No model is loaded; load one with rkllm.init."))
        running = execute(self._runtime.is_running)
        return running.addCallback(
            lambda running: {"success": True, "status_code": 0, "is_running": running}
        )

    def constants(self) -> Mapping[str, Mapping[str, int]]:
        """See :meth:`INPU.constants`."""
        constants: Mapping[str, Mapping[str, int]] = self._runtime.constants()
        return constants

    def version(self) -> RuntimeVersion:
        """See :meth:`INPU.version`."""
        version: RuntimeVersion = self._runtime.version
        return version

    def status(self) -> NPUStatus:
        """See :meth:`INPU.status`."""
        return NPUStatus(self._state, self._model_path, len(self._turns), self._runs, self._tokens)

    def close(self) -> Deferred[None]:
        """See :meth:`INPU.close`."""
        if self._closed is None:
            closed: Deferred[None] = Deferred()
            self._closed = closed
            self._turns.dismiss(ShuttingDown("The daemon is shutting down."))
            if self._under_way is not None:
                self._give_up(
                    self._under_way, ShuttingDown("The daemon shut down before the call ended.")
                )
            turn: Deferred[Any] = self._turns.take(None)
            turn.addCallback(lambda _: self._in_thread(self._runtime.close))
            turn.addBoth(self._now_closed).chainDeferred(closed)
        return self._closed

    def _now_closed(self, result: Any) -> Any:
        self._state, self._model_path = "closed", None
        return result

    def _queue(
        self, function: str, params: Params, client: Hashable, on_result: OnResult | None
    ) -> Deferred[Result]:
        if self._closed is not None:
            return fail(ShuttingDown("The daemon is shutting down."))
        try:
            prepared = self._runtime.prepare(function, params)
        except RPCError:
            return fail()
        work = _Work(function, prepared, on_result)
        turn = self._turns.take(client)
        work.outcome = Deferred(lambda _: self._cancel(work, turn))
        turn.addCallbacks(lambda _: self._begin(work), lambda reason: self._no_turn(work, reason))
        return work.outcome

    def _no_turn(self, work: _Work, reason: Failure) -> None:
        if reason.check(RPCError):  # else the caller cancelled it and knows
            work.settle(reason)

    def _cancel(self, work: _Work, turn: Deferred[None]) -> None:
        turn.cancel()  # no effect on a turn that has come
        self._give_up(work, Cancelled("The request was cancelled."))

    def _give_up(self, work: _Work, error: RPCError) -> None:
        work.give_up(error)
        if work is self._under_way and work.on_result is not None and self._runtime.loaded:
            self._abort_quietly()

    def _abort_quietly(self) -> None:
        """Abort what runs; from any thread. Refused means that there was nothing to abort."""
        with contextlib.suppress(RPCError):
            self._runtime.abort()

    def _begin(self, work: _Work) -> None:
        self._under_way = work
        self._state = STATES.get(work.function, self._state)
        done = self._in_thread(self._in_npu, work)
        done.addBoth(self._ended, work)

    def _in_npu(self, work: _Work) -> Result:
        """Do the call, in the NPU thread."""
        if work.given_up:
            raise Cancelled("The request was cancelled.")
        if work.on_result is None:
            outputs: Result = self._runtime.perform(work.prepared)
            return outputs

        def on_result(result: Result) -> None:
            if work.given_up:
                self._abort_quietly()  # again: the first came before the run had entered C
            elif result["_callback_state"] in (FINISH, ERROR):
                work.final = result
            else:
                self._from_thread(self._deliver, work, result)

        try:
            self._runtime.perform(work.prepared, on_result)
        except RPCError:
            if work.final is None or work.final["_callback_state"] != ERROR:
                raise
        empty: Result = self._runtime.empty_result()
        return work.final or empty

    def _deliver(self, work: _Work, result: Result) -> None:
        self._tokens += 1
        work.deliver(result)

    def _ended(self, result: Result | Failure, work: _Work) -> None:
        """The thread is back: settle the state, free the NPU, answer the caller."""
        self._under_way = None
        self._runs += work.on_result is not None
        self._settle_state(work)
        self._turns.done()
        work.settle(result)

    def _settle_state(self, work: _Work) -> None:
        if not self._runtime.loaded:
            self._state, self._model_path = "empty", None
            return
        self._state = "loaded"
        if work.function == "rkllm_init":
            self._model_path = self._runtime.model_path
