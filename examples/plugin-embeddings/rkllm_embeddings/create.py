"""``vectors.create``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_embeddings.pooling import POOLINGS, normalised, packed, rows_of
from rkllm_twisted.errors import InvalidParams, NotInRelease, RuntimeRefused
from rkllm_twisted.interfaces import ICall, IDescribedMethod, ITurn, IUsesNPU
from rkllm_twisted.values import FloatArray

MODE = {"mode": "RKLLM_INFER_GET_LAST_HIDDEN_LAYER", "keep_history": 0}
#: Texts of one request. Each is one turn of the NPU, so that other clients' turns come in between.
MOST = 64


@attrs.frozen
class Params:
    """What vectors.create takes.

    :param texts: up to 64, none of them empty; an embedding for each.
    :param pooling: which of a text's tokens count: the last one, or the mean of all.
    :param normalise: bring each embedding to length 1.
    """

    texts: list[str]
    pooling: Literal["last", "mean"] = "mean"
    normalise: bool = True


@attrs.frozen
class Embeddings:
    """What vectors.create answers.

    :param embeddings: in the order of the texts.
    :param width: of each.
    :param num_tokens: how many tokens each text was, those of the chat template included.
    """

    embeddings: list[list[float]]
    width: int
    num_tokens: list[int]


@implementer(IPlugin, IDescribedMethod, IUsesNPU)
@attrs.frozen
class Create:
    """Runs the model for its hidden states, once for each text."""

    name = "vectors.create"
    summary = "Make an embedding of each text, from the last hidden states of the loaded model."
    params = Params
    result = Embeddings
    streams = False

    async def call(self, call: ICall) -> object:
        """Check, run, pool.

        :raises InvalidParams: no texts, too many, or an empty one.
        :raises RuntimeRefused: the runtime gave no hidden states.
        """
        texts = call.params.texts
        if not 0 < len(texts) <= MOST or not all(texts):
            raise InvalidParams(
                f"texts takes 1 to {MOST} texts, none of them empty.", {"parameter": "texts"}
            )
        states = [
            rows_of(await call.npu.perform(partial(hidden_states, text), call.conversation))
            for text in texts
        ]
        vectors = [POOLINGS[call.params.pooling](rows) for rows in states]
        if call.params.normalise:
            vectors = [normalised(vector) for vector in vectors]
        return {
            "embeddings": [packed(vector) for vector in vectors],
            "width": len(vectors[0]),
            "num_tokens": [len(rows) for rows in states],
        }


def hidden_states(text: str, turn: ITurn) -> FloatArray:
    """Run the model on one text; its hidden states, a row for each token. In the NPU thread.

    What the cache holds would count as the text's beginning, so it is cleared first. Both calls are
    one turn: nobody's run comes in between.
    """
    found = []

    def keep(result: Mapping[str, Any]) -> None:
        layer = result["last_hidden_layer"]
        if layer["hidden_states"] is not None:
            found.append(layer["hidden_states"])

    with contextlib.suppress(NotInRelease):  # before 1.2.0 no run leaves anything there
        turn.perform(turn.prepare("rkllm_clear_kv_cache", [0]))
    run_input = {"input_type": "RKLLM_INPUT_PROMPT", "prompt_input": text}
    turn.perform(turn.prepare("rkllm_run", [run_input, MODE]), keep)
    if not found:
        raise RuntimeRefused(
            "The runtime gave no hidden states; look whether the model is one that has them.",
            {"function": "rkllm_run", "status_code": 0},
        )
    return found[-1]


create = Create()
