"""``rerank.score``."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from rkllm_twisted.chat.embeddings import cosine
from rkllm_twisted.chat.messages import wrong
from rkllm_twisted.chat.rerank import (
    QWEN3_RERANKER,
    question,
    ranked,
    read_documents,
    yes_probability,
)
from rkllm_twisted.inference.embedding_requests import embedded
from rkllm_twisted.inference.hidden_turn import HiddenTurn, Input
from rkllm_twisted.inference.model_turns import ModelTurns, TurnCalls
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply
from rkllm_twisted.inference.tokenizer_check import require_own
from rkllm_twisted.values import FloatArray

MODE = "RKLLM_INFER_GET_LOGITS"
#: Of one request.
MAX_DOCUMENTS = 1000


async def score(turns: ModelTurns, params: Any, client: Hashable, _: object) -> Reply:
    """Say how well each document answers a query."""
    documents = read_documents(params.documents)
    if len(documents) > MAX_DOCUMENTS:
        raise wrong(
            "documents", f"{len(documents)} are too many, at most {MAX_DOCUMENTS} are possible"
        )
    if params.top_n is not None and params.top_n < 1:
        raise wrong("top_n", "must be at least 1")
    profile = await turns.profile(params.model, client)
    by = _by_answers if profile.kind == "rerank" else _by_embeddings
    scores, tokens = await by(turns, params, client, profile, documents)
    results = [
        {
            "index": one.index,
            "score": one.score,
            **({"document": documents[one.index]} if params.return_documents else {}),
        }
        for one in ranked(scores, params.top_n)
    ]
    return {"model": profile.name, "results": results, "usage": {"total_tokens": tokens}}


async def _by_answers(
    turns: ModelTurns,
    params: Any,
    client: Hashable,
    _: ModelProfile,
    documents: Sequence[str],
) -> tuple[list[float], int]:
    """Ask the model whether each document answers the query."""

    def prepare(profile: ModelProfile) -> list[Input]:
        vocabulary = profile.vocabulary("score documents")
        asked = [
            vocabulary.encode(question(params.query, one, params.instruction)) for one in documents
        ]
        long = next((at for at, one in enumerate(asked) if len(one) > profile.chat.context), None)
        if long is not None:
            raise wrong(
                f"documents[{long}]",
                f"has {len(asked[long])} tokens with the question, and the model's context is"
                f" {profile.chat.context}",
            )
        return [*asked]

    def work(profile: ModelProfile, asked: list[Input]) -> Iterator[TurnCalls[list[float]]]:
        vocabulary = profile.vocabulary("score documents")
        yes, no = (
            vocabulary.encode_text(text)[0] for text in (QWEN3_RERANKER.yes, QWEN3_RERANKER.no)
        )

        def probability(logits: FloatArray) -> float:
            require_own(vocabulary.width_mismatch(logits.shape[-1]))
            return yes_probability(logits, yes, no)

        context = profile.chat.context
        whole = HiddenTurn(
            *(asked, MODE, context, turns.traits, turns.watch, probability),
            shares=True,
            vocabulary=vocabulary,
        )
        for part in whole.parts():
            yield TurnCalls(part.perform)

    _, asked, results = await turns.answer(params.model, client, prepare, work)
    return [one for result in results for one in result], sum(map(len, asked))


async def _by_embeddings(
    turns: ModelTurns,
    params: Any,
    client: Hashable,
    profile: ModelProfile,
    documents: Sequence[str],
) -> tuple[list[float], int]:
    """Compare the embeddings of the documents with that of the query."""
    if profile.kind != "embedding":
        raise wrong(
            "model",
            f"{profile.name} is of kind {profile.kind}; scores need a model of kind rerank or"
            " embedding",
        )
    _, (query, *vectors), counts = await embedded(
        turns, params.model, client, [params.query, *documents]
    )
    return [cosine(query, one) for one in vectors], sum(counts)
