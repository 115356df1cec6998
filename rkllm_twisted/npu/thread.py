"""The one NPU: one thread, one model, one call at a time, in fair turns.

Every call of the library runs in one thread: its callbacks come on the thread that called
``rkllm_run``, and only ``rkllm_abort`` and ``rkllm_is_running`` are documented as thread-safe. A
caller has an outer Deferred: cancelling it answers the caller at once, but the turn ends only when
the thread has returned from C.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, execute, fail
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rkllm_twisted.abi.from_c import empty_result
from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.errors import RPCError, ShuttingDown, TimedOut
from rkllm_twisted.interfaces import INPU, IRuntime, ITurn
from rkllm_twisted.npu.deliveries import Deliveries, DeliveryBatch
from rkllm_twisted.npu.direct import DirectCalls
from rkllm_twisted.npu.history import Observed, Shared
from rkllm_twisted.npu.job import (
    STATES,
    STUCK,
    Job,
    Transform,
    abort_quietly,
    deliver_each,
    deliver_together,
    one_call,
    one_run,
    unchanged,
)
from rkllm_twisted.npu.model_record import ModelRecord
from rkllm_twisted.npu.queue import QUEUE_LIMIT, FairQueue
from rkllm_twisted.npu.timeouts import CallTimer, Timeouts
from rkllm_twisted.npu.turn import NPUTurn
from rkllm_twisted.npu.turn_order import Continues
from rkllm_twisted.runtime_interfaces import ICallObserver, IHistory
from rkllm_twisted.values import (
    NPUStatus,
    OnResult,
    OnResults,
    Params,
    Procedure,
    Result,
    Running,
)

InThread = Callable[..., Deferred[Any]]
FromThread = Callable[..., object]


@implementer(INPU)
class ThreadNPU(DirectCalls):
    """An :class:`~rkllm_twisted.interfaces.INPU` over a blocking runtime in a thread of its own.

    :param runtime: used in the NPU thread only, except ``abort``, ``is_running``, ``prepare``.
    :param in_thread: calls a function in the NPU thread; returns a Deferred of its result.
    :param from_thread: ``reactor.callFromThread``.
    :param queue_limit: how many calls may wait.
    :param history: what a client may see of earlier runs; None: everything.
    """

    def __init__(
        self,
        runtime: IRuntime,
        in_thread: InThread,
        from_thread: FromThread,
        queue_limit: int = QUEUE_LIMIT,
        history: IHistory | None = None,
    ) -> None:
        super().__init__(runtime)
        self._in_thread = in_thread
        self._from_thread = from_thread
        self._history = Observed(history or Shared())
        self._queue = FairQueue(queue_limit)
        self._under_way: Job | None = None
        self._closed: Deferred[None] | None = None
        self._runs = self._tokens = 0
        self._state, self._model = "empty", ModelRecord()
        self._timer: CallTimer | None = None
        self._is_stuck = self._draining = False
        self._awaiting_idle: list[Deferred[None]] = []

    def set_timeouts(self, clock: IReactorTime, timeouts: Timeouts) -> None:
        """End calls that take too long. If the runtime cannot be killed, the NPU is ``stuck``."""
        self._timer = CallTimer(clock, timeouts, self._on_timeout, self._on_abort_timeout)

    def observe(self, observer: ICallObserver) -> None:
        """See :meth:`INPU.observe`."""
        self._history.observer = observer

    def call(self, function: str, params: Params, client: Hashable = None) -> Deferred[Result]:
        """See :meth:`INPU.call`."""
        return self._single(function, params, client, one_call)

    def run(
        self,
        function: str,
        params: Params,
        on_result: OnResult,
        client: Hashable = None,
        transform: Transform = unchanged,
    ) -> Deferred[Result]:
        """See :meth:`INPU.run`."""
        how = partial(one_run, deliver_each, on_result, transform)
        return self._single(function, params, client, how)

    def stream(
        self,
        function: str,
        params: Params,
        on_results: OnResults,
        client: Hashable = None,
        transform: Transform = unchanged,
    ) -> Deferred[Result]:
        """See :meth:`INPU.stream`."""
        how = partial(one_run, deliver_together, on_results, transform)
        return self._single(function, params, client, how)

    def perform(
        self, procedure: Procedure, client: Hashable = None, continues: Continues | None = None
    ) -> Deferred[Any]:
        """See :meth:`INPU.perform`."""
        return self._submit(Job(procedure, client), continues)

    def abort(self) -> Deferred[Result]:
        """See :meth:`INPU.abort`."""
        job = self._under_way
        return execute(self._runtime.abort) if job is None else execute(job.abort, self._runtime)

    def status(self, most_waiting: int = 0) -> NPUStatus:
        """See :meth:`INPU.status`."""
        job = self._under_way
        return NPUStatus(
            state=self._idle_state() if job is None else self._state,
            model_path=self._runtime.model_path,
            queue_length=len(self._queue),
            runs=self._runs,
            tokens=self._tokens,
            loads=self._model.loads,
            load_s=round(self._model.load_s, 3),
            crashes=self._runtime.crashes,
            running=None if job is None else Running(job.client, job.function),
            problem=self._runtime.problem,
            waiting=self._queue.waiting(most_waiting) if most_waiting else (),
            waiting_clients=self._queue.clients,
            **(self._model.as_status() if self._runtime.loaded else {}),
        )

    def drain(self) -> Deferred[None]:
        """See :meth:`INPU.drain`."""
        self._draining = True
        self._queue.fail_all(ShuttingDown("The daemon is shutting down."))
        idle: Deferred[None] = Deferred()
        self._awaiting_idle.append(idle)
        if self._under_way is None or self._is_stuck:
            self._fire_idle()
        return idle

    def _fire_idle(self) -> None:
        waiting, self._awaiting_idle = self._awaiting_idle, []
        for idle in waiting:
            if not idle.called:  # else its owner has cancelled it
                idle.callback(None)

    def close(self) -> Deferred[None]:
        """See :meth:`INPU.close`."""
        if self._closed is None:
            closed: Deferred[None] = Deferred()
            self._closed = closed
            self._queue.fail_all(ShuttingDown("The daemon is shutting down."))
            if self._under_way is not None:
                self._abandon(
                    self._under_way, ShuttingDown("The daemon shut down before the call ended.")
                )
            turn: Deferred[Any] = self._queue.acquire(None)
            turn.addCallback(lambda _: self._in_thread(self._runtime.close))
            turn.addBoth(self._now_closed).chainDeferred(closed)
        return self._closed

    def _now_closed(self, result: Any) -> Any:
        self._state = "closed"
        return result

    def _idle_state(self) -> str:
        """Return the state while no call is under way. The model may have gone by itself."""
        if self._state == "closed":
            return self._state
        if self._runtime.failed:
            return "failed"
        return "loaded" if self._runtime.loaded else "empty"

    def _refusal(self) -> Deferred[Any] | None:
        """Return a Deferred that has failed, if no call is taken now."""
        if self._closed is not None or self._draining:
            return fail(ShuttingDown("The daemon is shutting down."))
        return fail(TimedOut(STUCK)) if self._is_stuck else None

    def _single(
        self,
        function: str,
        params: Params,
        client: Hashable,
        how: Callable[[Any, ITurn], Result],
    ) -> Deferred[Result]:
        try:
            prepared = self._runtime.prepare(function, params)
        except RPCError:
            return self._refusal() or fail()
        job = Job(partial(how, prepared), client, function, prepared.model_path)
        job.announced = job.is_single = True
        job.in_run = STATES.get(function) == "running"
        return self._submit(job)

    def _submit(self, job: Job, continues: Continues | None = None) -> Deferred[Any]:
        refused = self._refusal()
        if refused is not None:
            return refused
        turn = self._queue.acquire(job.client, continues)
        job.outcome = Deferred(partial(self._cancel, job, turn))
        turn.addCallbacks(self._begin, job.refuse, callbackArgs=(job,))
        return job.outcome

    def _cancel(self, job: Job, turn: Deferred[None], _outcome: Deferred[Any]) -> None:
        turn.cancel()  # no effect on a turn that has come
        self._abandon(job, CancelledError())

    def _abandon(self, job: Job, error: Exception) -> None:
        job.abandon(error)
        if job is self._under_way and job.in_run and self._runtime.loaded:
            abort_quietly(self._runtime)
            if self._timer is not None:
                self._timer.aborted()

    def _on_timeout(self, error: TimedOut) -> None:
        if self._under_way is not None:
            self._abandon(self._under_way, error)
            if self._timer is not None:
                self._timer.aborted()

    def _on_abort_timeout(self) -> None:
        if not self._runtime.kill():
            self._is_stuck = True
            self._state = "stuck"
            self._queue.fail_all(TimedOut(STUCK))

    def _begin(self, _turn: None, job: Job) -> None:
        self._under_way = job
        self._call_begins(job, job.function, job.model_path)
        done = self._in_thread(self._in_npu, job)
        done.addBoth(self._ended, job)

    def _call_begins(self, job: Job, function: str, model_path: str | None) -> None:
        """Follow what the thread does. In the reactor thread."""
        if job is not self._under_way or job.abandoned:
            return
        job.function = function
        self._state = STATES.get(function, self._idle_state())
        if self._timer is not None:
            self._timer.begin(function, model_path)

    def _in_npu(self, job: Job) -> Any:
        """Do what is to be done in the turn. In the NPU thread."""
        job.check()
        turn = NPUTurn(
            job,
            self._runtime,
            self._history,
            self._model,
            partial(empty_result, layout_of(self.release)),
            partial(self._from_thread, self._call_begins),
            Deliveries(self._from_thread, partial(self._deliver, job)),
        )
        return job.procedure(turn)

    def _deliver(self, job: Job, batch: DeliveryBatch) -> None:
        self._tokens += batch.tokens
        if batch.tokens and self._timer is not None and not job.abandoned:
            self._timer.token()
        job.deliver(batch.deliveries)

    def _ended(self, result: Any, job: Job) -> None:
        """Free the NPU and answer the caller: the thread has returned."""
        self._under_way = None
        self._is_stuck = False
        if self._timer is not None:
            self._timer.end()
        self._runs += job.runs
        self._state = self._idle_state() if self._state != "closed" else self._state
        self._queue.release()
        job.resolve(result)
        self._fire_idle()
