"""The facts of the loaded model, for server.status and for the end of an answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from rkllm_twisted.errors import InvalidParams, RPCError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.values import FINISH_REASON, ModelLimits, Result, RunState

CACHE_SIZE = "rkllm_get_kv_cache_size"


class ModelRecord:
    """The facts of the model that was loaded last: limits, adapters, end tokens, history.

    They are read only while a model is loaded: a model that a crash takes along needs no record.

    :ivar loads: the number of models that were loaded.
    :ivar end_tokens: the tokens that end a run.
    :ivar load_s: seconds that these loads have taken.
    """

    def __init__(self) -> None:
        self.loads = 0
        self.load_s = 0.0
        self.end_tokens: frozenset[int | str] = frozenset()
        self._limits: ModelLimits | None = None
        self._adapters: list[str] = []
        self._has_history = False
        self._cached = 0

    @property
    def max_context_len(self) -> int | None:
        """The tokens that the model was loaded with room for."""
        return None if self._limits is None else self._limits.max_context_len

    @property
    def limits(self) -> ModelLimits | None:
        """All that the model was loaded with."""
        return self._limits

    @property
    def skip_special_token(self) -> bool:
        """True if the runtime leaves special tokens out of the text."""
        return self._limits is not None and self._limits.skip_special_token

    def add(self, prepared: Any, seconds: float) -> None:
        """Record a call that has succeeded. In the NPU thread.

        :param seconds: that it has taken.
        """
        if prepared.name == "rkllm_init":
            self._limits, self._adapters = prepared.checked.model_limits, []
            self.end_tokens = frozenset()
            self._has_history, self._cached = False, 0
            self.loads += 1
            self.load_s += seconds
        elif prepared.name == "rkllm_load_lora":
            self._adapters.append(prepared.checked.adapter_name)

    def check(self, prepared: Any) -> None:
        """Check that the template that a call sets fits into the context.

        :raises InvalidParams: it cannot; every run would fail.
        """
        words = prepared.checked.template_words
        if self._limits is None or sum(words.values()) < self._limits.max_context_len:
            return
        raise InvalidParams(
            f"The template has {sum(words.values())} words, each at least one token, but the model"
            f" was loaded with a context of {self._limits.max_context_len} tokens; shorten it, or"
            " load the model with a greater max_context_len.",
            {
                "parameter": max(words, key=lambda name: words[name]),
                "words": sum(words.values()),
                "max_context_len": self._limits.max_context_len,
            },
        )

    def look_at_cache(self, prepared: Any, runtime: IRuntime) -> None:
        """Look how much of the context is in use after a run. In the NPU thread.

        The figures of a run do not count the history. Only a run that may have met one pays for
        the look. Releases before 1.2.1 cannot tell.
        """
        self._has_history = self._has_history or prepared.checked.keeps_history
        if not self._has_history:
            return
        with contextlib.suppress(RPCError):
            outputs = runtime.perform(runtime.prepare(CACHE_SIZE, None))
            self._cached = max(outputs["cache_sizes"])

    def end_at(self, tokens: Iterable[int | str]) -> None:
        """See :meth:`~rkllm_twisted.interfaces.ITurn.end_at`."""
        self.end_tokens = frozenset(tokens)

    def is_end(self, result: Result) -> bool:
        """True if a partial result is a token that must end the run."""
        if not self.end_tokens or "results" in result:
            return False
        return result["token_id"] in self.end_tokens or result["text"] in self.end_tokens

    def with_finish_reason(self, prepared: Any, result: Result, *, aborted: bool) -> Result:
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
        checked, perf = prepared.checked, result.get("perf") or {}
        tokens = perf.get("generate_tokens", 0)
        if self._limits is None or not tokens:
            return False
        limit = checked.max_new_tokens or self._limits.max_new_tokens
        used: int = perf.get("prefill_tokens", 0) + tokens
        # The cache holds what was kept: this run too, if it keeps its history.
        used = max(used, self._cached) if checked.keeps_history else self._cached + used
        return bool(0 < limit <= tokens or used >= self._limits.max_context_len)

    def as_status(self) -> dict[str, Any]:
        """Return the members of :class:`~rkllm_twisted.values.NPUStatus`."""
        if self._limits is None:
            return {}
        limits = self._limits
        return {
            "max_context_len": limits.max_context_len,
            "max_new_tokens": limits.max_new_tokens,
            "lora_adapters": tuple(self._adapters),
        }
