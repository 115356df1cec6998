"""Scores documents by how well they answer a query."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence

import attrs

from rkllm_twisted.chat.messages import shown, wrong
from rkllm_twisted.chat.segments import Mark, Pieces, merged
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import FloatArray


@attrs.frozen
class YesNo:
    """The prompt for a model that answers yes or no.

    :param system: its system message.
    :param instruction: the definition of an answer, unless the client sends one.
    """

    system: str
    instruction: str
    yes: str = "yes"
    no: str = "no"


#: Source: Qwen3-Reranker's model card, "Transformers Usage".
QWEN3_RERANKER = YesNo(
    "Judge whether the Document meets the requirements based on the Query and the Instruct"
    ' provided. Note that the answer can only be "yes" or "no".',
    "Given a web search query, retrieve relevant passages that answer the query",
)


def question(
    query: str, document: str, instruction: str | None = None, form: YesNo = QWEN3_RERANKER
) -> Pieces:
    """Return the prompt that asks for yes or no."""
    start, end = Mark("<|im_start|>"), Mark("<|im_end|>")
    asked = (
        f"<Instruct>: {instruction or form.instruction}\n<Query>: {query}\n<Document>: {document}"
    )
    return merged(
        [
            *(start, f"system\n{form.system}", end, "\n"),
            *(start, f"user\n{asked}", end, "\n"),
            *(start, "assistant\n", Mark("<think>"), "\n\n", Mark("</think>"), "\n\n"),
        ]
    )


def yes_probability(logits: FloatArray, yes: int, no: int) -> float:
    """Return the probability of yes against no.

    :param logits: the logits of a run, one row per token; the last row counts.
    :param yes: the token's id.
    :param no: the token's id.
    :raises RuntimeRefused: the logits have no such columns, or are no numbers.
    """
    width = logits.shape[-1]
    row = array("f", bytes(logits.data[-4 * width :]))
    if sys.byteorder == "big":
        row.byteswap()
    if not 0 <= max(yes, no) < len(row) or not math.isfinite(row[yes] - row[no]):
        raise RuntimeRefused(
            "The model's logits have no scores for yes and no: is it a reranker?",
            {"function": "rkllm_run", "status_code": 0},
        )
    difference = row[no] - row[yes]
    return 1 / (1 + math.exp(difference)) if difference < 700 else 0.0


@attrs.frozen
class Ranked:
    """A document with its score.

    :param index: its position in the request.
    """

    index: int
    score: float


def ranked(scores: Sequence[float], top: int | None = None) -> tuple[Ranked, ...]:
    """Return the documents, the best first; of equals the earlier first.

    :param top: the number of documents to return.
    """
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return tuple(Ranked(index, scores[index]) for index in order[:top])


def read_documents(value: object) -> tuple[str, ...]:
    """Read ``documents``: texts, or objects with a text (Cohere's form).

    :raises InvalidParams: a document is wrong; the text has its place.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise wrong("documents", f"must be a list of texts, not {shown(value)}")
    return tuple(_read_document(one, f"documents[{at}]") for at, one in enumerate(value))


def _read_document(value: object, place: str) -> str:
    text = value.get("text") if isinstance(value, Mapping) else value
    if not isinstance(text, str):
        raise wrong(place, f"must be a text or an object with text, not {shown(value)}")
    return text
