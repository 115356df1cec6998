"""``/api/embed`` and ``/api/embeddings``: requests to parameters, and results to answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rkllm_twisted.http.ollama.call import read_keep_alive
from rkllm_twisted.http.ollama.fields import EMBED, EMBEDDINGS
from rkllm_twisted.http.translation.fields import Ignored, ignored_fields
from rkllm_twisted.http.translation.reading import Body, count, model_name, text


@attrs.frozen
class EmbedCall:
    """What a request asks for.

    :param params: parameters of ``embeddings.create`` without model; None if the model is only to
        be loaded or unloaded.
    :param unloads: True if the model is to be unloaded afterwards.
    :param ignored: the fields that change nothing.
    """

    model: str | None
    params: Mapping[str, Any] | None
    unloads: bool
    ignored: Ignored


def read_embed(body: Body) -> EmbedCall:
    """Read the body of ``/api/embed``.

    :raises HTTPError: a field is wrong.
    """
    params: dict[str, Any] = {"input": body.get("input")}
    dimensions = count(body, "dimensions", 0)
    if dimensions:
        params["dimensions"] = dimensions
    return _call(body, params, ignored_fields(body, EMBED))


def read_embeddings(body: Body) -> EmbedCall:
    """Read the body of ``/api/embeddings``.

    :raises HTTPError: a field is wrong.
    """
    return _call(body, {"input": text(body, "prompt")}, ignored_fields(body, EMBEDDINGS))


def _call(body: Body, params: Mapping[str, Any], ignored: Ignored) -> EmbedCall:
    keep_alive = read_keep_alive(body.get("keep_alive"))
    named = {**ignored, "keep_alive": ""} if keep_alive else ignored
    asked = None if params["input"] in (None, "", []) else params
    return EmbedCall(model_name(body), asked, keep_alive == 0, named)


def embed_answer(model: str, result: Mapping[str, Any] | None, total_ns: int) -> Mapping[str, Any]:
    """Return the answer of ``/api/embed``.

    :param model: the name that the request gave the model.
    :param result: of ``embeddings.create``; None if there was no text.
    :param total_ns: nanoseconds since the request came.
    """
    return {
        "model": model,
        "embeddings": [] if result is None else result["embeddings"],
        "total_duration": total_ns,
        "load_duration": 0,
        "prompt_eval_count": 0 if result is None else result["usage"]["prompt_tokens"],
    }


def embeddings_answer(result: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the answer of ``/api/embeddings``."""
    return {"embedding": [] if result is None else result["embeddings"][0]}
