"""confidence.answer over a fake turn: neither a board, a model nor a daemon is needed."""

import math
from array import array

import pytest
from rkllm_confidence.answer import geometric_mean, rate, softmax_at

from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.values import FloatArray, RunState

NONE = {"logits": {"logits": None}}


def logits_of(*probabilities):
    """Return logits of one row that mean these probabilities."""
    row = array("f", map(math.log, probabilities))
    return FloatArray(row.tobytes(), (1, len(row)))


class FakeTurn:
    """The runtime during one turn. It answers with two tokens, "Yes" and "!".

    :ivar asked: the functions with what they were asked, in order.
    """

    def __init__(self, *rows, state=RunState.FINISH):
        self._rows = list(rows)
        self._state = state
        self.asked = []

    def prepare(self, function, params):
        return function, params

    def perform(self, prepared, on_result=None):
        function, params = prepared
        if on_result is None:
            self.asked.append(function)
            return {"success": True, "status_code": 0}
        run_input, infer = params
        self.asked.append((run_input["input_type"], infer))
        if "mode" in infer:
            on_result({"logits": {"logits": self._rows.pop(0) if self._rows else None}})
        else:
            for number, text in ((1, "Yes"), (2, "!")):
                on_result({"text": text, "token_id": number, "_callback_state": 0, **NONE})
        return {"_callback_state": self._state}


def test_each_token_has_its_probability_and_the_answer_the_mean():
    turn = FakeTurn(logits_of(0.1, 0.8, 0.1), logits_of(0.3, 0.5, 0.2))
    rated = rate("Is it?", turn)
    assert rated["text"] == "Yes!"
    assert rated["tokens"] == [
        {"text": "Yes", "probability": 0.8},
        {"text": "!", "probability": 0.2},
    ]
    assert rated["confidence"] == pytest.approx(math.sqrt(0.8 * 0.2), abs=1e-4)


def test_the_answer_is_read_again_in_a_cache_of_its_own():
    turn = FakeTurn(logits_of(0.1, 0.8, 0.1), logits_of(0.3, 0.5, 0.2))
    rate("Is it?", turn)
    kept = {"mode": "RKLLM_INFER_GET_LOGITS", "keep_history": 1}
    assert turn.asked == [
        "rkllm_clear_kv_cache",
        ("RKLLM_INPUT_PROMPT", {"keep_history": 0}),
        "rkllm_clear_kv_cache",
        ("RKLLM_INPUT_PROMPT", kept),
        ("RKLLM_INPUT_TOKEN", kept),
    ]


def test_a_runtime_without_logits_is_an_error():
    with pytest.raises(RuntimeRefused, match="no logits"):
        rate("Is it?", FakeTurn())


def test_a_run_that_fails_is_an_error():
    with pytest.raises(RuntimeRefused, match="ended in an error"):
        rate("Is it?", FakeTurn(state=RunState.ERROR))


def test_only_the_last_row_counts():
    two = logits_of(0.9, 0.1).data + logits_of(0.4, 0.6).data
    assert softmax_at(FloatArray(two, (2, 2)), 1) == pytest.approx(0.6)


@pytest.mark.parametrize(("values", "mean"), [([0.5, 0.5], 0.5), ([], 0.0), ([0.5, 0.0], 0.0)])
def test_the_mean_of_what_is_there(values, mean):
    assert geometric_mean(values) == pytest.approx(mean)
