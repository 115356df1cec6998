"""One run that ends with an array in place of text: hidden states or logits. In the NPU thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.whole_run import RUN, check_whole
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.run_error import check_run
from rkllm_twisted.values import FloatArray, Result

HIDDEN, LOGITS = "RKLLM_INFER_GET_LAST_HIDDEN_LAYER", "RKLLM_INFER_GET_LOGITS"
#: Mode -> the member of an RKLLMResult and its array.
ARRAYS: Mapping[str, tuple[str, str]] = {
    HIDDEN: ("last_hidden_layer", "hidden_states"),
    LOGITS: ("logits", "logits"),
}


class NoArrayError(RuntimeRefused):
    """The run ended well, and returned no array."""


def array_run(
    turn: ITurn,
    mode: str,
    run_input: Mapping[str, object],
    infer: Mapping[str, object],
    context: int,
) -> FloatArray:
    """Make a run; return its array.

    :param mode: a key of :data:`ARRAYS`.
    :param infer: the further fields of its RKLLMInferParam.
    :param context: the model's room in tokens.
    :raises RPCError: the run failed, or the client has cancelled.
    """
    part, array = ARRAYS[mode]
    found: list[FloatArray] = []

    def on_result(result: Result) -> None:
        if result.get(part) and result[part][array] is not None:
            found.append(result[part][array])

    params: Any = [run_input, {"mode": mode, **infer}]
    final = turn.perform(turn.prepare("rkllm_run", params), on_result)
    turn.check()
    check_run(final, context)
    check_whole(final)
    if not found:
        what = array.replace("_", " ")
        raise NoArrayError(f"The runtime returned no {what}; look whether the model has them.", RUN)
    return found[-1]


def token_input(tokens: Sequence[int]) -> Mapping[str, object]:
    """Return the RKLLMInput of tokens."""
    given = {"input_ids": list(tokens), "n_tokens": len(tokens)}
    return {"input_type": "RKLLM_INPUT_TOKEN", "token_input": given}
