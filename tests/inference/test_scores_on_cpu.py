"""On the embedded runtime a beginning that is read once gives the logits of whole prompts."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from rkllm_twisted.cpu import demo_model
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.hidden_turn import HiddenTurn
from rkllm_twisted.inference.traits import traits_of
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.testing import StepThread
from rkllm_twisted.values import FloatArray

#: What a query and its instruction have, and what eight documents have, in tokens.
QUESTION = tuple(range(100, 180))
DOCUMENTS = tuple(tuple(range(200 + at, 240 + 3 * at)) for at in range(8))


class Board:
    """The embedded runtime with its model, and what it has read."""

    def __init__(self, abi: str) -> None:
        self._runtime = open_runtime("cpu", abi)
        self._thread = StepThread()
        self._npu = ThreadNPU(self._runtime, self._thread.in_thread, self._thread.from_thread)
        param = {"model_path": str(demo_model()), "max_context_len": 512}
        self.do(lambda turn: turn.perform(turn.prepare("rkllm_init", [param])))

    def do(self, procedure: Any) -> Any:
        """Make a turn; return what the procedure returns."""
        done: list[Any] = []
        self._npu.perform(procedure).addBoth(done.append)
        self._thread.run()
        if hasattr(done[0], "raiseException"):
            done[0].raiseException()
        return done[0]

    def last_rows(self, *inputs: tuple[int, ...]) -> tuple[list[Any], list[int]]:
        """Return the last row of each input's logits, and how many tokens each run has read."""
        read: list[int] = []

        def last_row(logits: FloatArray) -> Any:
            read.append(logits.shape[0])
            return array("f", bytes(logits.data[-4 * logits.shape[-1] :]))

        traits = traits_of(self._npu.release, self._npu.version().backend)
        turn = HiddenTurn(
            inputs, "RKLLM_INFER_GET_LOGITS", 512, traits, CacheWatch(), last_row, shares=True
        )
        return self.do(turn.perform), read

    def close(self) -> None:
        """Unload the model."""
        self._runtime.close()


@pytest.fixture(params=["1.2.1", "1.3.0"])
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    board = Board(request.param)
    yield board
    board.close()


def test_documents_after_one_reading_of_the_question_have_the_logits_of_whole_prompts(
    board: Board,
) -> None:
    prompts = [(*QUESTION, *document) for document in DOCUMENTS]
    together, read = board.last_rows(*prompts)
    alone = [board.last_rows(one)[0][0] for one in prompts]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-3)
    assert read == [len(document) for document in DOCUMENTS]
