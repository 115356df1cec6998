"""The loop with a made-up constraint, over 256 tokens that are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from made_up_constraint import OneOf

from rkllm_twisted.chat.token_table import TokenTable, byte_table
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.structured.loop import StructuredAnswer, StructuredLoop
from rkllm_twisted.structured.picker import Picker
from rkllm_twisted.structured.sampling import SamplingSettings

TABLE = byte_table()
PROMPT = (1, 2, 3)


class Model:
    """Rows that prefer a text, and what was read.

    :param wish: the text that it would write.
    """

    def __init__(self, wish: bytes = b"", table: TokenTable = TABLE) -> None:
        self.wish, self.table = wish, table
        self.reads: list[list[int]] = []
        self.pieces: list[str] = []

    def row(self, tokens: Sequence[int]) -> Any:
        self.reads.append([*tokens])
        said = sum(map(len, self.reads)) - 1
        row = np.zeros(self.table.size, np.float32)
        row[self.wish[said] if said < len(self.wish) else 256] = 1
        return row

    def answer(self, *texts: bytes, limit: int = 99, **how: Any) -> StructuredAnswer:
        loop = StructuredLoop(
            self.table,
            OneOf(self.table, texts),
            Picker(SamplingSettings(**how), 1),
            self.row,
            PROMPT,
            PROMPT[-1:],
            limit,
            self.take,
        )
        return loop.run()

    def take(self, text: str) -> bool:
        self.pieces.append(text)
        return False


def test_tokens_without_a_choice_go_into_one_run() -> None:
    model = Model(b"abX")
    answer = model.answer(b"abcdef", b"abXyz")
    assert (answer.text, answer.reason) == ("abXyz", "stop")
    assert model.reads == [[3], [97], [98]]
    assert (answer.runs, answer.forced) == (3, 2)


def test_an_answer_that_is_all_forced_takes_no_run() -> None:
    model = Model()
    answer = model.answer(b"yes")
    assert (answer.text, answer.runs, answer.forced, answer.read) == ("yes", 0, 3, -1)


def test_the_model_may_end_where_the_form_allows_it() -> None:
    assert Model(b"ab").answer(b"ab", b"abcd").text == "ab"
    assert Model(b"abc").answer(b"ab", b"abcd").text == "abcd"


@pytest.mark.parametrize("limit", range(1, 6))
def test_the_limit_ends_it(limit: int) -> None:
    answer = Model(b"abX").answer(b"abcdef", b"abXyzz", limit=limit)
    assert (answer.text, answer.reason) == ("abXyzz"[:limit], "length")
    assert len(answer.tokens) == limit


def test_an_answer_that_is_complete_at_the_limit_is_complete() -> None:
    assert Model(b"abX").answer(b"abcdef", b"abXyz", limit=5).reason == "stop"


def test_the_tokens_that_were_read_are_counted() -> None:
    answer = Model(b"ab").answer(b"abc", b"abd", b"xyz")
    assert answer.read == len(answer.tokens) - 1


def test_pieces_of_text_are_whole_characters() -> None:
    model = Model("ä€x".encode())
    answer = model.answer("ä€x".encode(), "äöx".encode(), "ö".encode())
    assert "".join(model.pieces) == answer.text == "ä€x"
    assert "\ufffd" not in "".join(model.pieces)


def test_enough_text_ends_it() -> None:
    model = Model(b"ab")
    model.take = lambda text: text == "a"  # type: ignore[method-assign]
    assert model.answer(b"abc", b"abd").text == "a"


def test_a_form_that_the_tokens_cannot_write_is_an_error() -> None:
    lacking = TokenTable([b"a", b"<end>"], frozenset({1}), frozenset({1}), lambda _: [])
    model = Model(table=lacking)
    model.row = lambda tokens: np.zeros(2, np.float32)  # type: ignore[method-assign]
    with pytest.raises(RuntimeRefused, match="no token that the form allows"):
        model.answer(b"ab", b"ac")


def test_penalties_look_at_the_prompt_and_the_answer_but_not_at_control_tokens() -> None:
    seen: list[Any] = []
    model = Model(b"ab")

    class Looking(Picker):
        def pick(self, row: Any, ids: Any, recent: Sequence[int]) -> int:
            seen.append([*recent])
            return super().pick(row, ids, recent)

    loop = StructuredLoop(
        TABLE,
        OneOf(TABLE, [b"abc", b"abd"]),
        Looking(SamplingSettings(), 1),
        model.row,
        (*range(100), 256),
        (256,),
        9,
        model.take,
    )
    loop.run()
    assert seen[0] == [*range(37, 100)]
    assert seen[1] == [*range(38, 100), 97]
