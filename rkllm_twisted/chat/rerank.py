"""Scores of documents: how well each answers a query."""

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
    """The prompt of a reranker that answers yes or no.

    :param system: the system message.
    :param instruction: what counts as an answer, if the client does not say it.
    :param yes: the text of the token for yes.
    :param no: the text of the token for no.
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
    """Return the prompt for one query and one document. A reranker answers it with yes or no."""
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
    """Return the probability of yes, if only yes and no are possible.

    :param logits: the logits of a run, one row per token. Only the last row is used.
    :param yes: the id of the token for yes.
    :param no: the id of the token for no.
    :raises RuntimeRefused: the logits lack one of the two columns, or its value is not finite.
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
    """One document's score.

    :param index: the document's index in the request.
    """

    index: int
    score: float


def ranked(scores: Sequence[float], top: int | None = None) -> tuple[Ranked, ...]:
    """Return the documents, the best first. If two scores are equal, the earlier comes first.

    :param top: how many documents to return; None for all.
    """
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return tuple(Ranked(index, scores[index]) for index in order[:top])


def read_documents(value: object) -> tuple[str, ...]:
    """Read ``documents``: an array of texts, or of objects with ``text`` (Cohere's form).

    :raises InvalidParams: a value is wrong; the error names its place.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise wrong("documents", f"must be a list of texts, not {shown(value)}")
    return tuple(_read_document(one, f"documents[{at}]") for at, one in enumerate(value))


def _read_document(value: object, place: str) -> str:
    text = value.get("text") if isinstance(value, Mapping) else value
    if not isinstance(text, str):
        raise wrong(place, f"must be a text or an object with text, not {shown(value)}")
    return text
