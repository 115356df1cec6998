"""``/v1/models`` in OpenAI's form, with what other servers add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OWNER = "rkllm"


def model_object(
    name: str, created: int, context: int | None, raw: Mapping[str, Any], loaded: bool
) -> dict[str, object]:
    """Return a model.

    :param context: the tokens that it reads at once; None if unknown. llama.cpp, vLLM and LM Studio
        have three names for it, and clients know one each.
    :param raw: what ``models.list`` says of it.
    """
    body: dict[str, object] = {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": OWNER,
        "loaded": loaded,
        "kind": raw.get("kind", "chat"),
        "capabilities": raw.get("capabilities", []),
    }
    if context is not None:
        body |= {
            "context_length": context,
            "max_model_len": context,
            "meta": {"n_ctx_train": context},
        }
    return body


def model_list(models: Iterable[Mapping[str, object]]) -> Mapping[str, object]:
    """Return the answer of ``GET /v1/models``."""
    return {"object": "list", "data": [*models]}
