"""One run, and how long it took. In the NPU thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.trail import CacheKey, cache_size
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.values import FINISH_REASON, OnResult, Result


@attrs.define
class PromptRun:
    """A run that reads a prompt from its beginning. It may be made several times.

    :param infer: its RKLLMInferParam.
    :param owner: the model and adapter of the prompt.
    :param tokens: the prompt.
    :param clock: the time in seconds.
    :param shared: how many of the tokens the runtime need not read again; see :class:`Plan`.
    :ivar first_ms: the time from :meth:`start_clock` to the first result, in milliseconds.
    :ivar last_ms: the same, to the last result that has come.
    :ivar results: how many results have come.
    """

    turn: ITurn
    run_input: Mapping[str, Any]
    infer: Mapping[str, Any]
    on_result: OnResult
    owner: CacheKey
    tokens: tuple[int, ...]
    clock: Callable[[], float]
    shared: int = 0
    first_ms: float = 0.0
    last_ms: float = 0.0
    results: int = 0
    _started: float = 0.0

    def start_clock(self) -> None:
        """Begin to measure."""
        self._started, self.results = self.clock(), 0

    def elapsed_ms(self) -> float:
        """Return the time since the start of the clock."""
        return 1000 * (self.clock() - self._started)

    def perform(self, **more: object) -> Result:
        """Make the run.

        :param more: further fields of its RKLLMInferParam.
        """
        return self._perform(self.on_result, more)

    def peek(self) -> bool:
        """Make the run up to its first token, which is not for the client.

        :returns: True if it was aborted, which the client has meant for its answer.
        """
        final = self._perform(lambda _: self.turn.abort(), {})
        return final.get(FINISH_REASON) == "cancelled"

    def has_right_size(self) -> bool:
        """True if the cache has the size that it should have after the run."""
        size = cache_size(self.call("rkllm_get_kv_cache_size"))
        # The last token may be missing in the cache, or be followed by an end token.
        return size is not None and abs(size - len(self.tokens) - self.results) <= 1

    def call(self, function: str, *params: object) -> Mapping[str, Any]:
        """Make another call in the same turn."""
        prepared = self.turn.prepare(function, list(params) or None)
        outputs: Mapping[str, Any] = self.turn.perform(prepared)
        return outputs

    def _perform(self, on_result: OnResult, more: Mapping[str, object]) -> Result:
        def timed(result: Result) -> None:
            self.last_ms = self.elapsed_ms()
            if not self.results:
                self.first_ms = self.last_ms
            self.results += 1
            on_result(result)

        params = [self.run_input, {**self.infer, **more}]
        final: Result = self.turn.perform(self.turn.prepare("rkllm_run", params), timed)
        if not self.results:
            self.first_ms = self.last_ms = self.elapsed_ms()
        self.turn.check()  # else an aborted run would count as whole
        return final
