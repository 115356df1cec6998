"""vectors.create over a fake NPU: neither a board, a model nor a daemon is needed."""

import math
from array import array
from types import SimpleNamespace

import pytest
from rkllm_embeddings.create import Params, create
from rkllm_embeddings.pooling import rows_of
from twisted.internet.defer import ensureDeferred, execute

from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.values import FloatArray


class FakeNPU:
    """Gives every run the same rows.

    :ivar turns: the functions that were called, in order, of each turn.
    """

    def __init__(self, *rows):
        self._rows = rows
        self.turns = []

    def perform(self, procedure, client=None):
        self.turns.append([])
        return execute(procedure, FakeTurn(self._rows, self.turns[-1]))


class FakeTurn:
    """The runtime during one turn."""

    def __init__(self, rows, asked):
        self._rows = rows
        self._asked = asked

    def prepare(self, function, params):
        return function

    def perform(self, prepared, on_result=None):
        self._asked.append(prepared)
        if on_result is not None:
            on_result({"last_hidden_layer": {"hidden_states": self._states()}})
        return {"success": True, "status_code": 0}

    def _states(self):
        if not self._rows:
            return None
        data = b"".join(array("f", row).tobytes() for row in self._rows)
        return FloatArray(data, (len(self._rows), len(self._rows[0])))


def result_of(npu, **params):
    """Call the method; what it answers."""
    call = SimpleNamespace(npu=npu, params=Params(**params), conversation=object())
    results = []
    answered = ensureDeferred(create.call(call))
    answered.addErrback(results.append).addCallback(results.append)
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def vectors_of(answer):
    return [list(rows_of(vector)[0]) for vector in answer["embeddings"]]


def test_the_mean_of_all_tokens():
    answer = result_of(FakeNPU([1, 0], [3, 4]), texts=["a"], normalise=False)
    assert vectors_of(answer) == [[2, 2]]
    assert (answer["width"], answer["num_tokens"]) == (2, [2])


def test_the_last_token_at_length_1():
    (vector,) = vectors_of(result_of(FakeNPU([1, 0], [3, 4]), texts=["a"], pooling="last"))
    assert vector == pytest.approx([0.6, 0.8])
    assert math.hypot(*vector) == pytest.approx(1)


def test_each_text_is_a_turn_that_begins_with_an_empty_cache():
    npu = FakeNPU([1, 0])
    result_of(npu, texts=["a", "b"])
    assert npu.turns == [["rkllm_clear_kv_cache", "rkllm_run"]] * 2


@pytest.mark.parametrize("texts", [[], [""], ["a"] * 65])
def test_texts_that_make_no_sense_are_refused(texts):
    with pytest.raises(InvalidParams, match="texts"):
        result_of(FakeNPU([1, 0]), texts=texts)


def test_a_model_without_hidden_states_is_an_error():
    with pytest.raises(RuntimeRefused):
        result_of(FakeNPU(), texts=["a"])
