"""The loaded model, and the width of its embeddings.

No function of rkllm.h returns the width, and C reads beyond the end of a buffer that is too short.
A result with hidden states has it (``RKLLMResultLastHiddenLayer.embd_size``): before the first
embeddings that a client sends, one token is run for it. Only a client that sends embeddings pays
for this, once for a model. rkllm_init does not do it, because a model that cannot give hidden
states would then not load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.abi.layouts import CData
from rkllm_twisted.abi.prepare import PreparedCall
from rkllm_twisted.abi.to_c import Embeddings
from rkllm_twisted.errors import RPCError, RuntimeCrashed

#: Calls a function with parameters; the last argument gets the results of a run.
CallFunction = Callable[
    [str, list[Any] | dict[str, Any], Callable[[Sequence[Mapping[str, Any]]], object] | None], Any
]

#: Every vocabulary has a token 1. No history is kept of it (keep_history 0).
_LOOK = [
    {
        "input_type": "RKLLM_INPUT_TOKEN",
        "token_input": {"input_ids": [1], "n_tokens": 1},
    },
    {"mode": "RKLLM_INFER_GET_LAST_HIDDEN_LAYER"},
]


@attrs.define
class LoadedModel:
    """A model that rkllm_init has loaded.

    :param made_by: its rkllm_init; C may still read the arguments.
    :ivar width: of its embeddings; 0 if the runtime does not show it, None before the first try.
    """

    handle: CData = attrs.field(on_setattr=attrs.setters.frozen)
    made_by: PreparedCall = attrs.field(on_setattr=attrs.setters.frozen)
    width: int | None = None

    @property
    def param(self) -> CData:
        """The RKLLMParam that it was loaded with."""
        return self.made_by.arguments["param"]

    @property
    def rows(self) -> int:
        """``n_batch``, the number of answers in one run; 1 if the release does not have it."""
        return max(1, getattr(self.param.extend_param, "n_batch", 1))


def check_widths(embeddings: Iterable[Embeddings], model: LoadedModel, call: CallFunction) -> None:
    """Compare embeddings with the model's width, which the first ones make it learn.

    :raises InvalidParams: stating both numbers.
    """
    for each in embeddings:
        if width := width_of(model, call):
            each.check(width)


def width_of(model: LoadedModel, call: CallFunction) -> int:
    """Return the width of a model's embeddings, which the first question makes it learn.

    :returns: see :func:`learn_width`.
    """
    if model.width is None:
        model.width = learn_width(call)
    return model.width


def learn_width(call: CallFunction) -> int:
    """Run one token for its hidden state.

    The history stays as it was: some releases keep the token in spite of ``keep_history`` 0
    (airockchip/rknn-llm#278); from 1.2.1 on the size of the cache shows it, and it is cleared.

    :returns: the width in numbers per token; 0 if the runtime gave no hidden state.
    :raises RuntimeCrashed: its process has ended.
    """
    widths = [0]

    def look(results: Sequence[Mapping[str, Any]]) -> None:
        for result in results:
            layer: Mapping[str, Any] = result["last_hidden_layer"] or {}
            widths.append(layer.get("embd_size") or 0)

    before = _sizes(call)
    # If the runtime refuses, its answer to the real run says more than one to this.
    try:
        call("rkllm_run", _LOOK, look)
    except RuntimeCrashed:
        raise
    except RPCError:
        pass
    after = _sizes(call)
    if len(after) == len(before) and after != before:
        ranges = {"keep_system_prompt": 0, "start_pos": before, "end_pos": after}
        with contextlib.suppress(RPCError):
            call("rkllm_clear_kv_cache", ranges, None)
    return max(widths)


def _sizes(call: CallFunction) -> list[int]:
    """The number of tokens in each row of the cache; empty before release 1.2.1."""
    with contextlib.suppress(RPCError):
        sizes: list[int] = call("rkllm_get_kv_cache_size", [], None)["cache_sizes"]
        return sizes
    return []
