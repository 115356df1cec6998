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
from rkllm_twisted.npu.job import Job, abort_quietly
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
from rkllm_twisted.wire.encoded_result import EncodedResult


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
    def problem(self) -> str | None:
        """See :class:`ITurn`."""
        problem: str | None = self._runtime.problem
        return problem

    def end_at(self, tokens: Iterable[int | str]) -> None:
        """See :class:`ITurn`."""
        self._model.end_at(tokens)

    def prepare(self, function: str, params: Params) -> Any:
        """See :class:`ITurn`."""
        return self._runtime.prepare(function, params)

    def deliver(self, function: Callable[..., object], *args: object) -> None:
        """See :class:`ITurn`."""
        self._batch.deliveries.append(Delivery(function, args))
        if not self._is_receiving:
            self._send()

    def stream(self, on_results: OnResults, result: Result) -> None:
        """See :class:`ITurn`."""
        self._batch.add_result(on_results, result)
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

    def perform(self, prepared: Any, on_result: OnResult | None = None) -> Mapping[str, Any]:
        """See :class:`ITurn`."""
        job, function = self._job, prepared.name
        job.aborted = job.aborted and job.in_run  # else the abort was another run's
        # Before the check: whoever abandons the job after it sees the run, and aborts it.
        job.in_run = on_result is not None
        try:
            job.check()
            announced, job.announced = job.announced, False
            if not announced:
                self._deliveries.end_batch()  # what comes after the call has begun stays after it
                self._on_call(job, function, prepared.model_path)
            self._model.check(prepared)
            job.runs += job.in_run
            self._history.before(self._runtime, function, job.client, job.in_run)
            began = monotonic()
            if on_result is None:
                result: Result = self._runtime.perform(prepared)
            else:
                result = self._run(prepared, on_result)
            self._history.after(function)
            self._model.add(prepared, monotonic() - began)
        finally:
            job.in_run = False
        return result

    def _receive(self, take: OnResult, results: Sequence[Result]) -> None:
        """Take the results that came together; send what they bring together, too."""
        self._is_receiving = True
        try:
            for result in results:
                take(result)
        finally:
            self._is_receiving = False
            self._send()

    def _run(self, prepared: Any, on_partial: OnResult) -> Result:
        """Make a run.

        :returns: its last result; in some modes the runtime sends none, and it is empty.
        """
        job, runtime = self._job, self._runtime
        final: Result | None = None
        has_ended = False

        def take(result: Result) -> None:
            nonlocal final, has_ended
            if job.abandoned:
                # The first abort may have come before the run had entered C.
                abort_quietly(runtime)
            elif type(result) is not EncodedResult and result["_callback_state"] in LAST_STATES:
                final = result
            elif has_ended or self._model.is_end(result):
                has_ended = True  # a few tokens more may come
                abort_quietly(runtime)
            else:
                self._batch.tokens += 1
                on_partial(result)

        try:
            outputs = runtime.perform(prepared, partial(self._receive, take))
            more = {name: outputs[name] for name in (SAVED, LINES) if name in outputs}
        except RPCError as error:
            is_aborted = has_ended and isinstance(error, RuntimeRefused)
            is_error = final is not None and final["_callback_state"] == RunState.ERROR
            if not (is_aborted or is_error):
                raise
            lines = (error.data or {}).get("lines")
            more = {LINES: lines} if lines else {}
        if not job.abandoned and final is not None and final.get("perf"):
            self._model.look_at_cache(prepared, runtime)
        last = self._empty() if final is None else {**final, **more}
        if has_ended:
            return {**last, "_callback_state": RunState.FINISH}
        return self._model.with_finish_reason(prepared, last, job.aborted)
