"""What is known of the loaded model, for server.status and for the end of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from rkllm_twisted.values import FINISH_REASON, ModelLimits, Result, RunState


class ModelRecord:
    """The limits, the adapters and the end tokens of the model that was loaded last.

    They are read only while a model is loaded: a model that a crash takes along needs no record.

    :ivar loads: the number of models that were loaded.
    """

    def __init__(self) -> None:
        self.loads = 0
        self._end_tokens: frozenset[int | str] = frozenset()
        self._limits: ModelLimits | None = None
        self._adapters: list[str] = []

    def add(self, prepared: Any) -> None:
        """Record a call that has succeeded. In the NPU thread."""
        if prepared.name == "rkllm_init":
            self._limits, self._adapters = prepared.model_limits, []
            self._end_tokens = frozenset()
            self.loads += 1
        elif prepared.name == "rkllm_load_lora":
            self._adapters.append(prepared.adapter_name)

    def end_at(self, tokens: Iterable[int | str]) -> None:
        """See :meth:`~rkllm_twisted.interfaces.ITurn.end_at`."""
        self._end_tokens = frozenset(tokens)

    def is_end(self, result: Result) -> bool:
        """True if a partial result is a token that must end the run."""
        if not self._end_tokens or "results" in result:
            return False
        return result["token_id"] in self._end_tokens or result["text"] in self._end_tokens

    def with_finish_reason(self, prepared: Any, result: Result, aborted: bool) -> Result:
        """Add to a run's last result why the answer ended, if the model has not ended it.

        :param prepared: the call of the run.
        :param aborted: ``rkllm_abort`` was called during the run.
        """
        if result.get("_callback_state") != RunState.FINISH:
            return result
        reason = "cancelled" if aborted else "length" if self._is_full(prepared, result) else None
        return result if reason is None else {**result, FINISH_REASON: reason}

    def _is_full(self, prepared: Any, result: Result) -> bool:
        """True if an answer has reached a limit; False on releases without figures in results."""
        perf = result.get("perf") or {}
        tokens = perf.get("generate_tokens", 0)
        if self._limits is None or not tokens:
            return False
        limit = prepared.max_new_tokens or self._limits.max_new_tokens
        used: int = perf.get("prefill_tokens", 0) + tokens
        return bool(0 < limit <= tokens or used >= self._limits.max_context_len)

    def as_status(self) -> dict[str, Any]:
        """Return the members of :class:`~rkllm_twisted.values.NPUStatus`."""
        if self._limits is None:
            return {}
        return {**attrs.asdict(self._limits), "lora_adapters": tuple(self._adapters)}
