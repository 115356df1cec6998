"""What the loaded model was loaded with, for server.status."""

from __future__ import annotations

from typing import Any

import attrs

from rkllm_twisted.npu.job import Job
from rkllm_twisted.values import ModelLimits


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

    def as_status(self) -> dict[str, Any]:
        """Return the members of :class:`~rkllm_twisted.values.NPUStatus`."""
        if self._limits is None:
            return {}
        return {**attrs.asdict(self._limits), "lora_adapters": tuple(self._adapters)}
