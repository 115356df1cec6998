"""``/v1/embeddings``: a request to parameters of ``embeddings.create``, and results to answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkllm_twisted.http.openai.fields import EMBEDDINGS
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import Body, count, text, wrong


def read_embeddings(body: Body) -> ModelCall:
    """Read the body of a request.

    :returns: a call of ``embeddings.create``.
    :raises HTTPError: a field is wrong.
    """
    ignored = ignored_fields(body, EMBEDDINGS)
    if body.get("input") is None:
        raise wrong("input", "is missing")
    params: dict[str, Any] = {"input": body["input"]}
    dimensions = count(body, "dimensions")
    if dimensions is not None:
        params["dimensions"] = dimensions
    for name in ("encoding_format", "pooling"):
        given = text(body, name)
        if given is not None:
            params[name] = given
    return ModelCall.of(body, params, ignored)


def embeddings_answer(model: str, result: Mapping[str, Any]) -> Mapping[str, object]:
    """Return the answer.

    :param result: of ``embeddings.create``; each embedding is an array of numbers, or base64.
    """
    data = [
        {"object": "embedding", "index": index, "embedding": one}
        for index, one in enumerate(result["embeddings"])
    ]
    return {"object": "list", "data": data, "model": model, "usage": result["usage"]}
