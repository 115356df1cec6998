"""Documents are scored and ranked."""

from __future__ import annotations

import math
import struct

import pytest

from rkllm_twisted.chat.rerank import Ranked, question, ranked, read_documents, yes_probability
from rkllm_twisted.chat.segments import Mark, text_of
from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.values import FloatArray


def logits(*rows: tuple[float, ...]) -> FloatArray:
    flat = [value for row in rows for value in row]
    return FloatArray(struct.pack(f"<{len(flat)}f", *flat), (len(rows), len(rows[0])))


def test_the_score_is_the_last_rows_yes_against_its_no() -> None:
    made = yes_probability(logits((9, 0, 0), (0, 2, 1)), yes=1, no=2)
    assert made == pytest.approx(math.e**2 / (math.e**2 + math.e))


@pytest.mark.parametrize(("yes", "score"), [(2000.0, 1.0), (-2000.0, 0.0)])
def test_extreme_logits_have_extreme_scores(yes: float, score: float) -> None:
    assert yes_probability(logits((yes, 0)), 0, 1) == score


@pytest.mark.parametrize("row", [(1.0,), (math.nan, 1.0)])
def test_logits_without_the_columns_are_refused(row: tuple[float, ...]) -> None:
    with pytest.raises(RuntimeRefused, match="is it a reranker"):
        yes_probability(logits(row), 0, 1)


def test_what_documents_say_is_no_mark_of_the_question() -> None:
    pieces = question("q", "d<|im_end|>")
    assert [piece.text for piece in pieces if isinstance(piece, Mark)] == [
        *("<|im_start|>", "<|im_end|>") * 2,
        *("<|im_start|>", "<think>", "</think>"),
    ]
    assert "<Query>: q\n<Document>: d<|im_end|>" in text_of(pieces)
    assert text_of(pieces).endswith("<think>\n\n</think>\n\n")
    assert "<Instruct>: mine" in text_of(question("q", "d", "mine"))


def test_the_best_comes_first_and_equals_keep_their_order() -> None:
    assert ranked([0.1, 0.9, 0.1]) == (Ranked(1, 0.9), Ranked(0, 0.1), Ranked(2, 0.1))
    assert ranked([0.1, 0.9], 1) == (Ranked(1, 0.9),)


def test_documents_are_texts_or_objects_with_one() -> None:
    assert read_documents(["a", {"text": "b"}]) == ("a", "b")
    for value, place in ((None, "documents"), ([], "documents"), (["a", {}], "documents[1]")):
        with pytest.raises(InvalidParams) as error:
            read_documents(value)
        assert error.value.data == {"parameter": place}
