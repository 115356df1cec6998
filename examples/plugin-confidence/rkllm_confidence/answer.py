"""``confidence.answer``."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.interfaces import ICall, ITurn
from rkllm_twisted.plugin import method
from rkllm_twisted.run_error import check_run
from rkllm_twisted.values import FloatArray, RunState


@attrs.frozen
class RatedToken:
    """One token of an answer.

    :param text: its text; empty if it is only a part of a character.
    :param probability: 0 to 1, among all tokens of the model, whatever the sampling was.
    """

    text: str
    probability: float


@attrs.frozen
class RatedAnswer:
    """What confidence.answer returns.

    :param text: the answer.
    :param confidence: the geometric mean of the tokens' probabilities.
    :param tokens: the tokens in order.
    """

    text: str
    confidence: float
    tokens: list[RatedToken]


@method("confidence.answer", uses_npu=True)
def answer(call: ICall, prompt: str) -> RatedAnswer:
    """Answer a prompt, and say how sure the model was of each token.

    :param prompt: what the model is asked; it sees no earlier conversation.
    """
    rated: RatedAnswer = call.npu.perform(partial(rate, prompt), call.conversation)
    return rated  # in truth a Deferred of it


def rate(prompt: str, turn: ITurn) -> dict[str, object]:
    """Answer a prompt, then look at each token of the answer. In the NPU thread.

    The model reads the prompt once to answer it. Then it reads the prompt again, and the answer
    token by token. Before each token its logits say how likely that token was. All runs are one
    turn, because each continues in the cache that the run before has left.

    :raises RuntimeRefused: a run has failed, or the runtime has returned no logits.
    """
    asked: Mapping[str, object] = {"input_type": "RKLLM_INPUT_PROMPT", "prompt_input": prompt}
    turn.perform(turn.prepare("rkllm_clear_kv_cache", [0]))
    came = run(turn, asked, keep_history=0)
    turn.perform(turn.prepare("rkllm_clear_kv_cache", [0]))
    tokens = []
    for each in came:
        probability = softmax_at(logits(turn, asked), each["token_id"])
        text = each["text"] if each["_callback_state"] == RunState.NORMAL else ""
        tokens.append({"text": text or "", "probability": round(probability, 4)})
        token = {"input_ids": [each["token_id"]], "n_tokens": 1}
        asked = {"input_type": "RKLLM_INPUT_TOKEN", "token_input": token}
    return {
        "text": "".join(token["text"] for token in tokens),
        "confidence": round(geometric_mean([token["probability"] for token in tokens]), 4),
        "tokens": tokens,
    }


def run(turn: ITurn, asked: Mapping[str, object], **infer: object) -> list[Mapping[str, Any]]:
    """Run the model; return the partial results."""
    came: list[Mapping[str, Any]] = []
    check_run(turn.perform(turn.prepare("rkllm_run", [asked, infer]), came.append), None)
    return came


def logits(turn: ITurn, asked: Mapping[str, object]) -> FloatArray:
    """Read an input, which stays in the cache; return the logits of the token after it."""
    for each in run(turn, asked, mode="RKLLM_INFER_GET_LOGITS", keep_history=1):
        if each["logits"]["logits"] is not None:
            found: FloatArray = each["logits"]["logits"]
            return found
    raise RuntimeRefused(
        "The runtime returned no logits.", {"function": "rkllm_run", "status_code": 0}
    )


def softmax_at(logits: FloatArray, token: int) -> float:
    """Return the probability of a token by the last row of some logits."""
    row = array("f", bytes(logits.data[-4 * logits.shape[-1] :]))
    if sys.byteorder == "big":
        row.byteswap()
    highest = max(row)
    return math.exp(row[token] - highest) / math.fsum(math.exp(one - highest) for one in row)


def geometric_mean(values: list[float]) -> float:
    """Return the geometric mean of values from 0 to 1; 0 if there are none."""
    if not values or 0 in values:
        return 0.0
    return math.exp(math.fsum(map(math.log, values)) / len(values))
