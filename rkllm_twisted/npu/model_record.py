"""What the loaded model was loaded with, for server.status and for the end of an answer."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.python.failure import Failure

from rkllm_twisted.npu.job import Job
from rkllm_twisted.values import FINISH_REASON, ModelLimits, Result, RunState


class ModelRecord:
    """The limits and the adapters of the model that was loaded last.

    It is read only while a model is loaded: a model that a crash takes along needs no record.
    """

    def __init__(self) -> None:
        self._limits: ModelLimits | None = None
        self._adapters: list[str] = []

    def add(self, job: Job) -> None:
        """Record a call that has succeeded."""
        if job.function == "rkllm_init":
            self._limits, self._adapters = job.prepared.model_limits, []
        elif job.function == "rkllm_load_lora":
            self._adapters.append(job.prepared.adapter_name)

    def with_finish_reason(self, job: Job, result: Result | Failure) -> Result | Failure:
        """Add to a run's last result why the answer ended, if the model has not ended it."""
        if isinstance(result, Failure) or not job.is_run:
            return result
        if result.get("_callback_state") != RunState.FINISH:
            return result
        reason = "cancelled" if job.aborted else "length" if self._is_full(job, result) else None
        return result if reason is None else {**result, FINISH_REASON: reason}

    def _is_full(self, job: Job, result: Result) -> bool:
        """True if an answer has reached a limit; False on releases without figures in results."""
        perf = result.get("perf") or {}
        tokens = perf.get("generate_tokens", 0)
        if self._limits is None or not tokens:
            return False
        limit = job.prepared.max_new_tokens or self._limits.max_new_tokens
        used: int = perf.get("prefill_tokens", 0) + tokens
        return bool(0 < limit <= tokens or used >= self._limits.max_context_len)

    def as_status(self) -> dict[str, Any]:
        """Return the members of :class:`~rkllm_twisted.values.NPUStatus`."""
        if self._limits is None:
            return {}
        return {**attrs.asdict(self._limits), "lora_adapters": tuple(self._adapters)}
