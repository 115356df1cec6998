"""The one NPU: one thread, one model, one call at a time, in fair turns.

Every call of the library runs in one thread, because the library's callbacks come on the thread
that called ``rkllm_run`` and nothing is documented as thread-safe but ``rkllm_abort`` and
``rkllm_is_running``. What a caller holds is an outer Deferred: cancelling it answers the caller at
once, while the turn ends only when the thread is back from C.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from rkllm_twisted.errors import Cancelled, NoModel, RPCError, ShuttingDown, TimedOut
from rkllm_twisted.interfaces import INPU, IRuntime
from rkllm_twisted.npu.history import History, Shared
from rkllm_twisted.npu.job import Form, Job, abort_quietly, unchanged
from rkllm_twisted.npu.queue import QUEUE_LIMIT, FairQueue
from rkllm_twisted.npu.timeouts import CallTimer, Timeouts
from rkllm_twisted.values import (
    NPUStatus,
    OnResult,
    Params,
    Result,
    Running,
    RuntimeVersion,
    Waiting,
)

InThread = Callable[..., Deferred[Any]]
FromThread = Callable[..., object]

#: What the NPU's state is called while these calls are under way.
STATES = {"rkllm_init": "loading", "rkllm_run": "running", "rkllm_run_async": "running"}


def thread_npu(
    reactor: Any,
    pool: ThreadPool,
    runtime: IRuntime,
    queue_limit: int = QUEUE_LIMIT,
    history: History | None = None,
    timeouts: Timeouts | None = None,
) -> ThreadNPU:
    """Put a runtime in a pool's thread.

    :param pool: of one thread; starting and stopping it is the caller's.
    :param timeouts: how long calls may take; for ever where left out.
    """
    in_thread = partial(deferToThreadPool, reactor, pool)
    npu = ThreadNPU(runtime, in_thread, reactor.callFromThread, queue_limit, history)
    if timeouts is not None:
        npu.watch_with(reactor, timeouts)
    return npu


@implementer(INPU)
class ThreadNPU:
    """An :class:`~rkllm_twisted.interfaces.INPU` over a blocking runtime in a thread of its own.

    :param runtime: touched in the NPU thread only, but for ``abort``, ``is_running``, ``prepare``.
    :param in_thread: runs a function in the NPU thread; returns a Deferred of its result.
    :param from_thread: ``reactor.callFromThread``.
    :param queue_limit: how many calls may wait.
    :param history: what a client may see of the runs before; everything where left out.
    """

    def __init__(
        self,
        runtime: IRuntime,
        in_thread: InThread,
        from_thread: FromThread,
        queue_limit: int = QUEUE_LIMIT,
        history: History | None = None,
    ) -> None:
        self._runtime = runtime
        self._in_thread = in_thread
        self._from_thread = from_thread
        self._history = history or Shared()
        self._turns = FairQueue(queue_limit)
        self._under_way: Job | None = None
        self._closed: Deferred[None] | None = None
        self._state = "empty"
        self._runs = self._tokens = 0
        self._watch: CallTimer | None = None
        self._is_stuck = self._draining = False
        self._awaiting_idle: list[Deferred[None]] = []

    def watch_with(self, clock: IReactorTime, timeouts: Timeouts) -> None:
        """End calls that take too long.

        Where the runtime cannot be ended by force, the NPU is ``stuck`` until C returns, and
        refuses work.
        """
        self._watch = CallTimer(clock, timeouts, self._late, self._stuck)

    def call(self, function: str, params: Params, client: Hashable = None) -> Deferred[Result]:
        """See :meth:`INPU.call`."""
        return self._queue(function, params, client, None)

    def run(
        self,
        function: str,
        params: Params,
        on_result: OnResult,
        client: Hashable = None,
        form: Form = unchanged,
    ) -> Deferred[Result]:
        """See :meth:`INPU.run`."""
        return self._queue(function, params, client, on_result, form)

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
        work = self._under_way
        return NPUStatus(
            state=self._idle_state() if work is None else self._state,
            model_path=self._runtime.model_path,
            queue_length=len(self._turns),
            runs=self._runs,
            tokens=self._tokens,
            running=None if work is None else Running(work.client, work.function),
            problem=self._runtime.problem,
            waiting=tuple(Waiting(client, calls) for client, calls in self._turns.waiting()),
        )

    def drain(self) -> Deferred[None]:
        """See :meth:`INPU.drain`."""
        self._draining = True
        self._turns.dismiss(ShuttingDown("The daemon is shutting down."))
        idle: Deferred[None] = Deferred()
        self._awaiting_idle.append(idle)
        if self._under_way is None or self._is_stuck:
            self._tell_idle()
        return idle

    def _tell_idle(self) -> None:
        waiting, self._awaiting_idle = self._awaiting_idle, []
        for idle in waiting:
            if not idle.called:  # else whoever waited has lost patience
                idle.callback(None)

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
        self._state = "closed"
        return result

    def _idle_state(self) -> str:
        """What the NPU is when nothing is under way. The model may have gone by itself."""
        if self._state == "closed":
            return self._state
        if self._runtime.failed:
            return "failed"
        return "loaded" if self._runtime.loaded else "empty"

    def _queue(
        self,
        function: str,
        params: Params,
        client: Hashable,
        on_result: OnResult | None,
        form: Form = unchanged,
    ) -> Deferred[Result]:
        if self._closed is not None or self._draining:
            return fail(ShuttingDown("The daemon is shutting down."))
        if self._is_stuck:
            return fail(
                TimedOut("The NPU is stuck in a call that cannot be ended; restart the daemon.")
            )
        try:
            prepared = self._runtime.prepare(function, params)
        except RPCError:
            return fail()
        work = Job(function, prepared, on_result, client, form)
        turn = self._turns.take(client)
        work.outcome = Deferred(lambda _: self._cancel(work, turn))
        turn.addCallbacks(lambda _: self._begin(work), lambda reason: self._no_turn(work, reason))
        return work.outcome

    def _no_turn(self, work: Job, reason: Failure) -> None:
        if reason.check(RPCError):  # else the caller cancelled it and knows
            work.settle(reason)

    def _cancel(self, work: Job, turn: Deferred[None]) -> None:
        turn.cancel()  # no effect on a turn that has come
        self._give_up(work, Cancelled("The request was cancelled."))

    def _give_up(self, work: Job, error: RPCError) -> None:
        work.give_up(error)
        if work is self._under_way and work.is_run and self._runtime.loaded:
            abort_quietly(self._runtime)
            if self._watch is not None:
                self._watch.given_up()

    def _late(self, error: TimedOut) -> None:
        """The call under way takes too long."""
        if self._under_way is not None:
            self._give_up(self._under_way, error)
            if self._watch is not None:
                self._watch.given_up()

    def _stuck(self) -> None:
        """The call under way is not back, although it was aborted."""
        if not self._runtime.kill():
            self._is_stuck = True
            self._state = "stuck"
            self._turns.dismiss(
                TimedOut("The NPU is stuck in a call that cannot be ended; restart the daemon.")
            )

    def _begin(self, work: Job) -> None:
        self._under_way = work
        self._state = STATES.get(work.function, self._idle_state())
        if self._watch is not None:
            self._watch.begin(work.function, self._runtime.path_of(work.prepared))
        done = self._in_thread(self._in_npu, work)
        done.addBoth(self._ended, work)

    def _in_npu(self, work: Job) -> Result:
        """Do the call, in the NPU thread."""
        work.check()
        self._history.before(self._runtime, work.function, work.client, work.is_run)
        result = work.perform(self._runtime, partial(self._from_thread, self._deliver))
        self._history.after(work.function)
        return result

    def _deliver(self, work: Job, result: Result) -> None:
        self._tokens += 1
        if self._watch is not None and not work.given_up:
            self._watch.token()
        work.deliver(result)

    def _ended(self, result: Result | Failure, work: Job) -> None:
        """The thread is back: free the NPU, answer the caller."""
        self._under_way = None
        self._is_stuck = False
        if self._watch is not None:
            self._watch.end()
        self._runs += work.is_run
        self._state = self._idle_state() if self._state != "closed" else self._state
        self._turns.done()
        work.settle(result)
        self._tell_idle()
