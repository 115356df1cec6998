"""``/v1/rerank``, in the form of Jina's and Cohere's API, as llama.cpp and vLLM have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkllm_twisted.http.openai.fields import RERANK
from rkllm_twisted.http.translation.call import ModelCall
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import Body, count, flag, text, wrong


def read_rerank(body: Body) -> ModelCall:
    """Read the body of a request.

    :returns: a call of ``rerank.score``.
    :raises HTTPError: a field is wrong.
    """
    ignored = ignored_fields(body, RERANK)
    query = text(body, "query")
    if not query:
        raise wrong("query", "is missing")
    documents = body.get("documents")
    if not isinstance(documents, list) or not documents:
        raise wrong("documents", "must be an array of texts, or of objects with text")
    params: dict[str, Any] = {"query": query, "documents": documents}
    top = count(body, "top_n")
    if top is not None:
        params["top_n"] = top
    instruction = text(body, "instruction")
    if instruction is not None:
        params["instruction"] = instruction
    if flag(body, "return_documents"):
        params["return_documents"] = True
    return ModelCall.of(body, params, ignored)


def rerank_answer(answer_id: str, model: str, result: Mapping[str, Any]) -> Mapping[str, object]:
    """Return the answer.

    :param result: of ``rerank.score``.
    """
    total = result["usage"]["total_tokens"]
    results = [
        {
            "index": one["index"],
            "relevance_score": one["score"],
            **({"document": {"text": one["document"]}} if "document" in one else {}),
        }
        for one in result["results"]
    ]
    usage = {"prompt_tokens": total, "total_tokens": total}
    return {"id": answer_id, "object": "list", "model": model, "results": results, "usage": usage}
