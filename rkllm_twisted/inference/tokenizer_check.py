"""Checks that the tokenizer beside a model is the model's. In the NPU thread."""

from __future__ import annotations

import contextlib
from typing import Any

from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.inference.whole_run import RUN, check_whole
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.values import Result, RunState

#: The run that is made for the check. Its prompt is text: another model's ids may not exist.
PROMPT, TOKENS = "The", 8


def require_own(problem: str | None) -> None:
    """Raise an error for what :class:`~rkllm_twisted.chat.vocabulary.Vocabulary` has found.

    :raises RuntimeRefused: there is a problem.
    """
    if problem is not None:
        raise RuntimeRefused(
            "The tokenizer.json beside the model is another model's; put the model's own there:"
            f" {problem[0].lower()}{problem[1:]}",
            RUN,
        )


def check_tokenizer(
    turn: ITurn, vocabulary: Vocabulary, watch: CacheWatch, traits: RuntimeTraits
) -> None:
    """Compare the texts of generated tokens with the tokenizer's, once for each load of a model.

    Hidden states and logits show no token, so a short ordinary run is made. A model that cannot
    generate proves nothing and passes. The cache must be empty; the run leaves it unknown.

    :raises RuntimeRefused: the tokenizer is another model's, or the run was aborted.
    """
    if vocabulary.is_certain or watch.checked_load == turn.loads:
        return
    seen: list[str | None] = []

    def on_result(result: Result) -> None:
        if result["_callback_state"] == RunState.NORMAL and result["token_id"] >= 0:
            seen.append(vocabulary.mismatch(result["token_id"], result["text"] or ""))
        if len(seen) >= TOKENS:
            turn.abort()

    infer: dict[str, object] = {"mode": "RKLLM_INFER_GENERATE"}
    if traits.plan.history:
        infer["keep_history"] = 0
    params: Any = [{"input_type": "RKLLM_INPUT_PROMPT", "prompt_input": PROMPT}, infer]
    final: Result = {}
    with contextlib.suppress(RuntimeRefused):
        final = turn.perform(turn.prepare("rkllm_run", params), on_result)
    turn.check()
    check_whole(final)
    require_own(next(filter(None, seen), None))
    watch.checked_load = turn.loads
