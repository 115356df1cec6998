"""How wide the embeddings of the loaded model are.

No function of rkllm.h tells, and a buffer that is too short is read beyond its end. A result with
hidden states does tell (``RKLLMResultLastHiddenLayer.embd_size``): one token is run for it, before
the first embeddings that somebody sends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rkllm_twisted.abi.to_c import Embeddings
from rkllm_twisted.errors import RPCError
from rkllm_twisted.runtime.model import LoadedModel

#: Calls a function with parameters; a run's results go to the last argument.
Call = Callable[[str, list[Any] | dict[str, Any], Callable[[dict[str, Any]], object] | None], Any]

#: Every vocabulary has a token 1. No history is kept of it (keep_history 0).
_LOOK = [
    {
        "input_type": "RKLLM_INPUT_TOKEN",
        "token_input": {"input_ids": [1], "n_tokens": 1},
    },
    {"mode": "RKLLM_INFER_GET_LAST_HIDDEN_LAYER"},
]


def check_widths(embeddings: Iterable[Embeddings], model: LoadedModel, call: Call) -> None:
    """Compare embeddings with the width of the loaded model's, which is learnt for the first ones.

    :raises InvalidParams: stating both numbers.
    """
    for each in embeddings:
        if model.width is None:
            model.width = learn_width(call)
        if model.width:
            each.check(model.width)


def learn_width(call: Call) -> int:
    """Run one token for its hidden state.

    The history is as it was before: releases exist that keep the token all the same (#278), and
    from 1.2.1 on the cache's size shows it.

    :returns: the width in numbers per token; 0 if the runtime gave no hidden state.
    """
    widths = [0]

    def look(result: dict[str, Any]) -> None:
        layer: Mapping[str, Any] = result["last_hidden_layer"] or {}
        widths.append(layer.get("embd_size") or 0)

    before = _sizes(call)
    # A runtime that cannot: its own answer to the real run says more than one about this.
    with contextlib.suppress(RPCError):
        call("rkllm_run", _LOOK, look)
    after = _sizes(call)
    if len(after) == len(before) and after != before:
        ranges = {"keep_system_prompt": 0, "start_pos": before, "end_pos": after}
        with contextlib.suppress(RPCError):
            call("rkllm_clear_kv_cache", ranges, None)
    return max(widths)


def _sizes(call: Call) -> list[int]:
    """The number of tokens in each row of the cache; nothing before release 1.2.1."""
    with contextlib.suppress(RPCError):
        sizes: list[int] = call("rkllm_get_kv_cache_size", [], None)["cache_sizes"]
        return sizes
    return []
