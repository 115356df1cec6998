"""The calls of one turn, in the NPU thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

import attrs
from zope.interface import implementer

from rkllm_twisted.errors import RPCError, RuntimeRefused
from rkllm_twisted.interfaces import IRuntime, ITurn
from rkllm_twisted.npu.deliveries import Deliveries, Delivery, DeliveryBatch
from rkllm_twisted.npu.job import PROCEDURE, Job, abort_quietly
from rkllm_twisted.npu.model_record import ModelRecord
from rkllm_twisted.runtime_interfaces import IHistory
from rkllm_twisted.values import (
    LAST_STATES,
    LINES,
    SAVED,
    ModelLimits,
    OnResult,
    OnResults,
    Params,
    Result,
    RunState,
)
from rkllm_twisted.wire.encoded_result import ONLY_TOKENS, EncodedResult


def _each(on_result: OnResult, results: Sequence[Result]) -> None:
    for result in results:
        on_result(result)


@implementer(ITurn)
@attrs.define(eq=False)
class NPUTurn:
    """The runtime in the hands of a job's procedure. In the NPU thread only.

    :param job: what the turn belongs to.
    :param runtime: what it calls.
    :param history: what happens to the cache around each call.
    :param model: what the loaded model was loaded with.
    :param empty: what a run returns that the runtime ended without a last result.
    :param on_call: called in this thread with the job, the function and the model's path when a
        call begins that the reactor does not know of.
    :param deliveries: calls functions in the reactor thread unless the caller has its answer.
    """

    _job: Job
    _runtime: IRuntime
    _history: IHistory
    _model: ModelRecord
    _empty: Callable[[], Result]
    _on_call: Callable[[Job, str, str | None], object]
    _deliveries: Deliveries
    _batch: DeliveryBatch = attrs.field(factory=DeliveryBatch)
    _is_receiving: bool = False
    #: Of the run under way: its last result, and whether an end token has come.
    _final: Result | None = None
    _has_ended: bool = False

    @property
    def loaded(self) -> bool:
        """See :class:`ITurn`."""
        loaded: bool = self._runtime.loaded
        return loaded

    @property
    def loads(self) -> int:
        """See :class:`ITurn`."""
        return self._model.loads

    @property
    def model_path(self) -> str | None:
        """See :class:`ITurn`."""
        path: str | None = self._runtime.model_path
        return path

    @property
    def max_context_len(self) -> int | None:
        """See :class:`ITurn`."""
        return self._model.max_context_len

    @property
    def limits(self) -> ModelLimits | None:
        """See :class:`ITurn`."""
        return self._model.limits

    @property
    def skip_special_token(self) -> bool:
        """See :class:`ITurn`."""
        return self._model.skip_special_token

    @property
    def aborted(self) -> bool:
        """See :class:`ITurn`."""
        return self._job.aborted

    @property
    def problem(self) -> str | None:
        """See :class:`ITurn`."""
        problem: str | None = self._runtime.problem
        return problem

    def end_at(self, tokens: Iterable[int | str]) -> None:
        """See :class:`ITurn`."""
        self._model.end_at(tokens)

    def embedding_width(self) -> int:
        """See :class:`ITurn`. The first question is a run: with its timeout, and aborted as one."""
        job = self._job
        with job.own_run():
            job.check()
            self._deliveries.end_batch()
            self._on_call(job, "rkllm_run", None)
            width: int = self._runtime.embedding_width()
        self._on_call(job, PROCEDURE, None)
        job.check()
        return width

    def prepare(self, function: str, params: Params) -> Any:
        """See :class:`ITurn`."""
        return self._runtime.prepare(function, params)

    def deliver(self, function: Callable[..., object], *args: object) -> None:
        """See :class:`ITurn`."""
        self._batch.deliveries.append(Delivery(function, args))
        if not self._is_receiving:
            self._send()

    def stream(self, on_results: OnResults, *results: Result) -> None:
        """See :class:`ITurn`."""
        self._batch.add_results(on_results, results)
        if not self._is_receiving:
            self._send()

    def _send(self) -> None:
        batch = self._batch
        if batch.tokens or batch.deliveries:
            self._batch = DeliveryBatch()
            self._deliveries.put(batch)

    def check(self) -> None:
        """See :class:`ITurn`."""
        self._job.check()

    def abort(self) -> None:
        """See :class:`ITurn`."""
        abort_quietly(self._runtime)

    def perform(
        self,
        prepared: Any,
        on_result: OnResult | None = None,
        on_results: OnResults | None = None,
    ) -> Mapping[str, Any]:
        """See :class:`ITurn`."""
        take_all = on_results if on_result is None else partial(_each, on_result)
        job, function = self._job, prepared.name
        # Before the check: what abandons the job after it sees the run, and aborts it.
        job.enter(is_run=take_all is not None)
        try:
            job.check()
            if job.in_run and job.aborted and not job.is_single:
                return self._model.with_finish_reason(prepared, self._empty(), aborted=True)
            announced, job.announced = job.announced, False
            if not announced:
                self._deliveries.end_batch()  # what comes after the call has begun stays after it
                self._on_call(job, function, prepared.model_path)
            self._model.check(prepared)
            job.runs += job.in_run
            self._history.before(self._runtime, function, job.client, job.in_run)
            began = monotonic()
            if take_all is None:
                result: Result = self._runtime.perform(prepared)
            else:
                self._final, self._has_ended = None, False
                result = self._run(prepared, take_all)
            self._history.after(function)
            self._model.add(prepared, monotonic() - began)
        finally:
            job.leave()
        return result

    def _receive(self, on_partials: OnResults, results: Sequence[Result]) -> None:
        """Take the results that came together; send what they bring together, too."""
        self._is_receiving = True
        job = self._job
        may_end = job.abandoned or job.aborted or self._has_ended or self._model.end_tokens
        try:
            if may_end or {*map(type, results)} != ONLY_TOKENS:
                for result in results:
                    self._take(on_partials, result)
            else:
                self._batch.tokens += len(results)
                on_partials(results)
        finally:
            self._is_receiving = False
            self._send()

    def _take(self, on_partials: OnResults, result: Result) -> None:
        if self._job.abandoned:
            # The first abort may have come before the run had entered C.
            abort_quietly(self._runtime)
        elif type(result) is not EncodedResult and result["_callback_state"] in LAST_STATES:
            self._final = result
        elif self._has_ended or self._model.is_end(result):
            self._has_ended = True  # a few tokens more may come
            abort_quietly(self._runtime)
        else:
            if self._job.aborted and not self._job.is_single:
                abort_quietly(self._runtime)  # it may have come before the run had entered C, too
            self._batch.tokens += 1
            on_partials((result,))

    def _run(self, prepared: Any, on_partials: OnResults) -> Result:
        """Make a run.

        :returns: its last result; in some modes the runtime sends none, and it is empty.
        """
        job, runtime = self._job, self._runtime
        try:
            outputs = runtime.perform(prepared, partial(self._receive, on_partials))
            more = {name: outputs[name] for name in (SAVED, LINES) if name in outputs}
        except RPCError as error:
            final = self._final
            is_aborted = self._has_ended and isinstance(error, RuntimeRefused)
            is_error = final is not None and final["_callback_state"] == RunState.ERROR
            if not (is_aborted or is_error):
                raise
            lines = (error.data or {}).get("lines")
            more = {LINES: lines} if lines else {}
        aborted = job.leave()
        final = self._final
        if not job.abandoned and final is not None and final.get("perf"):
            self._model.look_at_cache(prepared, runtime)
        last = self._empty() if final is None else {**final, **more}
        if self._has_ended:
            return {**last, "_callback_state": RunState.FINISH}
        return self._model.with_finish_reason(prepared, last, aborted=aborted)
