"""A runtime with a cache whose runs write what a test says, and go on a little after an abort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from echo_runtime import EchoRuntime
from vocabularies import vocabulary

from rkllm_twisted.chat.segments import split_marks


class WritingRuntime(EchoRuntime):
    """Writes given texts.

    :ivar answers: what the next runs write.
    :ivar lag: how many tokens still come after an abort.
    :ivar on_token: called after each token.
    :ivar lacks_last: True if the last token before an abort was not read.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(vocabulary("byte_level"), **how)
        self.answers: list[str] = []
        self.lag = 0
        self.lacks_last = True
        self.on_token: Callable[[], object] = lambda: None
        self._late: int | None = None
        self._is_cut = False
        self._limit: int | None = None

    def _parts(self, answer: str) -> tuple[Any, ...]:
        words = vocabulary("byte_level")
        text = self.answers.pop(0) if self.answers else ""
        ids = words.encode(split_marks(text, words.control), first=False) if text else ()
        parts = tuple({"text": words.decode([one]), "token_id": one} for one in ids)
        return parts[: self._limit]

    def abort(self) -> dict[str, Any]:
        if not self._is_calling:
            return super().abort()
        if self._late is None:
            self._late = self.lag
        return {"success": True, "status_code": 0}

    def _call_back(self, on_results: Any, result: Any) -> None:
        super()._call_back(on_results, result)
        self._is_calling = True
        self.on_token()
        self._is_calling = False
        if self._late == 0:
            self._stopped.set()
            self._is_cut = True
        elif self._late is not None:
            self._late -= 1

    def _echo(self, arguments: Any, on_results: Any) -> dict[str, Any]:
        self._late, self._is_cut = None, False
        self._limit = (arguments.get("rkllm_infer_params") or {}).get("max_new_tokens")
        end = super()._echo(arguments, on_results)
        if self._is_cut and self.lacks_last and self.cache[-1] != self._end_token():
            self.cache.pop()
        return end
