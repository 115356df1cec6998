"""Runs that end with arrays in place of text: hidden states and logits. In the NPU thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.chat.plan import CLEAR
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.run_error import check_run
from rkllm_twisted.values import FloatArray, Result

#: Runs of one turn: other clients wait no longer than for these.
RUNS_PER_TURN = 8
#: Mode -> the member of an RKLLMResult and its array.
ARRAYS: Mapping[str, tuple[str, str]] = {
    "RKLLM_INFER_GET_LAST_HIDDEN_LAYER": ("last_hidden_layer", "hidden_states"),
    "RKLLM_INFER_GET_LOGITS": ("logits", "logits"),
}

Input = str | tuple[int, ...]


@attrs.frozen
class HiddenTurn:
    """The procedure of several runs, each with a cache that holds nothing.

    :param inputs: prompts as text, which get the runtime's template, or as tokens.
    :param mode: a key of :data:`ARRAYS`.
    :param context: the model's room in tokens.
    """

    inputs: Sequence[Input]
    mode: str
    context: int
    traits: RuntimeTraits
    watch: CacheWatch

    def perform(self, turn: ITurn) -> list[FloatArray]:
        """Make the runs.

        :returns: the array of each.
        :raises RPCError: a run failed, or the client has cancelled.
        """
        with self.watch.planned() as known:
            known.take()
            if known.empty_slot is not None:
                call, known.empty_slot = known.empty_slot, None
                turn.perform(turn.prepare(call.function, list(call.params)))
            return [self._run(turn, given) for given in self.inputs]

    def _run(self, turn: ITurn, given: Input) -> FloatArray:
        infer: dict[str, object] = {"mode": self.mode}
        if self.traits.plan.history:
            turn.perform(turn.prepare(CLEAR.function, list(CLEAR.params)))
            infer["keep_history"] = 0
        part, array = ARRAYS[self.mode]
        found: list[FloatArray] = []

        def on_result(result: Result) -> None:
            if result.get(part) and result[part][array] is not None:
                found.append(result[part][array])

        params: Any = [_run_input(given, self.traits.plan.roles), infer]
        final = turn.perform(turn.prepare("rkllm_run", params), on_result)
        turn.check()
        check_run(final, self.context)
        if not found:
            raise RuntimeRefused(
                f"The runtime returned no {array.replace('_', ' ')}; look whether the model has"
                " them.",
                {"function": "rkllm_run", "status_code": 0},
            )
        return found[-1]


def _run_input(given: Input, roles: bool) -> Mapping[str, object]:
    if isinstance(given, str):
        role = {"role": "user"} if roles else {}
        return {**role, "input_type": "RKLLM_INPUT_PROMPT", "prompt_input": given}
    tokens = {"input_ids": list(given), "n_tokens": len(given)}
    return {"input_type": "RKLLM_INPUT_TOKEN", "token_input": tokens}


def in_turns(inputs: Sequence[Input], *rest: Any) -> Iterator[HiddenTurn]:
    """Yield turns for many inputs.

    :param rest: the other parameters of :class:`HiddenTurn`.
    """
    for start in range(0, len(inputs), RUNS_PER_TURN):
        yield HiddenTurn(inputs[start : start + RUNS_PER_TURN], *rest)
