"""The defaults, results and figures of the fake runtime."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from rkllm_twisted.abi.from_c import to_json
from rkllm_twisted.abi.layouts import CData, layout_of
from rkllm_twisted.abi.release import Release, release_for

#: The same values as the embedded runtime's rkllm_createDefaultParam (cpu_runtime/src/front/abi.c).
DEFAULTS: Mapping[str, object] = {
    "max_context_len": 512,
    "max_new_tokens": 256,
    "top_k": 40,
    "top_p": 0.9,
    "temperature": 0.8,
    "repeat_penalty": 1.1,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.1,
    "skip_special_token": True,
    "img_start": b"",
    "img_end": b"",
    "img_content": b"",
}
EXTENDED: Mapping[str, int] = {"enabled_cpus_num": 4, "enabled_cpus_mask": 0x0F, "n_batch": 1}


@functools.cache
def default_param(release: Release) -> CData:
    """Return the structure of rkllm_createDefaultParam. It owns its strings, so it is cached."""
    param = layout_of(release).structs["RKLLMParam"]()
    for structure, values in ((param, DEFAULTS), (param.extend_param, EXTENDED)):
        for name, value in values.items():
            if hasattr(structure, name):
                setattr(structure, name, value)
    return param


def fake_result(text: str | None, state: int, tokens: int = 0) -> dict[str, Any]:
    """Return an RKLLMResult of runtime 1.2.1 and later."""
    structure = layout_of(release_for("1.2.1")).structs["RKLLMResult"]
    result = to_json(layout_of(release_for("1.2.1")), structure(token_id=tokens))
    return {**result, "text": text, "perf": figures(0, tokens), "_callback_state": state}


def figures(prompt: int, tokens: int) -> dict[str, Any]:
    """Return an RKLLMPerfStat: 1 ms for each token of the prompt, 10 ms for each of the answer."""
    return {
        "prefill_time_ms": 1.0 * prompt,
        "prefill_tokens": prompt,
        "generate_time_ms": 10.0 * tokens,
        "generate_tokens": tokens,
        "memory_usage_mb": 100.0,
    }
