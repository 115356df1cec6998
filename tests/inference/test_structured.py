"""Answers in a form over a runtime that can be made to misbehave, with the made-up constraint."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from inference_rig import Asked, Rig, furnish, user
from made_up_constraint import MadeUp
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from rkllm_twisted.errors import InternalError, InvalidParams, RuntimeRefused, TimedOut
from rkllm_twisted.inference.token_engines import TokenEngines
from rkllm_twisted.methods.text_structured import Params
from rkllm_twisted.npu.timeouts import Timeouts

FORM = {"type": "choices", "choices": ["you helpful", "you quick"]}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(furnish(tmp_path, "tokens"), "tokens")
    rig.turns.engines = TokenEngines(lambda _: MadeUp())
    return rig


def ask(rig: Rig, *messages: Any, **params: Any) -> Any:
    asked = rig.ask([*messages], **{"response_format": FORM, **params})
    if asked.error is not None:
        raise asked.error
    return asked.result


def test_a_conversation_goes_on_in_the_cache(rig: Rig) -> None:
    """Also with an ordinary answer in between."""
    first = ask(rig, user("What?"))
    assert first["message"]["content"] in FORM["choices"]
    talk = [user("What?"), first["message"], user("Sure?")]
    second = ask(rig, *talk)
    assert second["usage"]["cached_tokens"] > first["usage"]["prompt_tokens"]
    third = ask(rig, *talk, second["message"], user("How?"), response_format=None)
    assert "structured" not in third


def test_the_tokenizer_is_compared_with_the_models_once(rig: Rig) -> None:
    for _ in range(2):
        ask(rig, user("What?"))
    modes = rig.runtime.performed.count("rkllm_clear_kv_cache")
    assert rig.turns.watch.checked_load == 1
    assert modes >= 2


@pytest.mark.parametrize("columns", [10, 5000])
def test_a_model_of_another_width_is_refused(rig: Rig, columns: int) -> None:
    rig.runtime.columns = columns
    with pytest.raises(RuntimeRefused, match="tokenizer has"):
        ask(rig, user("What?"))


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "params",
    [{"response_format": FORM}, {"tools": [FUNCTION], "tool_choice": "required"}],
    ids=["a form", "a call"],
)
def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    """The answer is not made in another way, and the tokens of the prompt are not read."""
    rig = Rig(furnish(tmp_path, "tokens"), "runtime")  # the runtime's ids are numbers of words
    for _ in range(2):
        error = rig.ask([user("What?")], **params).error
        assert isinstance(error, RuntimeRefused)
        assert "another model's; put the model's own there: token 0" in error.message
    assert rig.turns.watch.unsteered_load is None
    assert len(rig.runtime.reads) == 2


def test_a_text_without_a_tokenizer_is_refused_by_what_is_missing(tmp_path: Path) -> None:
    rig = Rig(furnish(tmp_path, "runtime"), "runtime")
    asked = rig.begin("text.structured", Params("The", choices=["a"]))
    rig.settle()
    assert isinstance(asked.error, InvalidParams)
    assert "put the model's tokenizer.json beside m" in asked.error.message


@pytest.mark.parametrize(
    "fault",
    [
        {"is_mute": True},
        {"keeps_array_runs": lambda keep: False},
    ],
    ids=["no logits", "nothing is appended"],
)
def test_a_runtime_that_cannot_is_asked_for_checked_answers(
    rig: Rig, fault: dict[str, Any]
) -> None:
    for name, value in fault.items():
        setattr(rig.runtime, name, value)
    with pytest.raises(RuntimeRefused, match="in 3 attempts"):
        ask(rig, user("What?"), stream=True)
    assert rig.turns.watch.unsteered_load == 1


def test_a_checked_answer_that_fits_is_not_called_guaranteed(rig: Rig) -> None:
    rig.runtime.is_mute = True
    form = {"type": "choices", "choices": ["saw zq1q", "saw zq2q"]}
    done = ask(rig, user("zq1q"), response_format=form)
    assert done["message"]["content"] == "saw zq1q"
    assert done["structured"]["guaranteed"] is False
    assert done["structured"]["runs"] == 1


def test_no_engine_is_one_sentence(rig: Rig) -> None:
    def none(kind: str) -> Any:
        raise InternalError("Install it.")

    rig.turns.engines = TokenEngines(none)
    with pytest.raises(InternalError, match=r"^Install it\.$"):
        ask(rig, user("What?"))
    assert rig.ask([user("zq1q")]).text == "saw zq1q"


class Paced:
    """Answers that a test can stop at: in each run and, in the loop, between two runs."""

    texts = tuple(map("".join, product("zq", "xj", "zq", "xj")))

    def __init__(self, directory: Path) -> None:
        self.rig = Rig(furnish(directory, "tokens"), "tokens", paced=True)
        self.rig.turns.engines = TokenEngines(lambda _: MadeUp(pace=self._pace))
        self.is_between_runs = False

    def _pace(self) -> None:
        self.is_between_runs = True
        self.rig.thread.pace()
        self.is_between_runs = False

    @property
    def runs(self) -> int:
        """How many runs the runtime has begun."""
        return int(self.rig.runtime.performed.count("rkllm_run"))

    def begin(self) -> Asked:
        """Begin an answer."""
        return self.rig.begin("text.structured", Params("The", choices=self.texts))

    def go(self, stops: int, asked: Asked) -> bool:
        """Go on to the next stop so many times. :returns: True if the answer is not over."""
        thread = self.rig.thread
        for _ in range(stops):
            if asked.is_over:
                return False
            if thread.calls:
                thread.deliver()
            else:
                thread.go()
        return not asked.is_over

    def whole(self) -> Any:
        """Return the result of an answer that is left alone."""
        asked = self.begin()
        self.rig.settle()
        return asked.result


@pytest.fixture
def paced(tmp_path: Path) -> Paced:
    return Paced(tmp_path)


def places(paced: Paced) -> Iterator[Asked]:
    """Yield an answer at each of its stops."""
    for stops in count(1):
        asked = paced.begin()
        if not paced.go(stops, asked):
            break
        yield asked
    assert stops > 20


def test_it_is_cancelled_at_every_step(paced: Paced) -> None:
    """In a run and between two, the NPU is free again, and the next answer is whole."""
    between = 0
    for asked in places(paced):
        between += paced.is_between_runs
        asked.done.cancel()
        assert isinstance(asked.error, CancelledError)
        before = paced.runs
        paced.rig.settle()
        assert paced.runs == before
        assert paced.whole()["text"] in paced.texts
        assert paced.rig.npu.status().state == "loaded"
    assert between > 3


def test_a_time_out_between_two_runs_ends_it(paced: Paced) -> None:
    """No other run begins, and the next answer is whole."""
    clock, thread = Clock(), paced.rig.thread
    paced.rig.npu.set_timeouts(clock, Timeouts(first_token=10, token=10, abort=5))
    asked = paced.begin()
    while paced.runs < 3 or not paced.is_between_runs:
        thread.go()
    while thread.calls:
        thread.deliver()
    clock.advance(11)
    assert isinstance(asked.error, TimedOut)
    before = paced.runs
    paced.rig.settle()
    assert paced.runs == before
    assert paced.whole()["text"] in paced.texts


def test_an_abort_at_any_step_ends_it_with_what_it_has(paced: Paced) -> None:
    """Behind the last run it comes too late; the tokenizer's own run cannot be left out."""
    between: list[str] = []
    for asked in places(paced):
        was_in_run = paced.rig.thread.busy and not paced.is_between_runs
        was_between, answers = paced.is_between_runs, list[Any]()
        paced.rig.npu.abort().addBoth(answers.append)
        paced.rig.settle()
        assert answers == [{"success": True, "status_code": 0}]
        if asked.error is not None:
            assert not between
            assert str(asked.error) == "The run was aborted; send the request again."
            continue
        reason, text = asked.result["finish_reason"], asked.result["text"]
        assert (text in paced.texts) is (reason == "stop")
        assert any(one.startswith(text) for one in paced.texts)
        assert reason == "cancelled" or not was_in_run
        between += [reason] if was_between else []
        assert paced.whole()["text"] in paced.texts
    assert between.count("cancelled") > 1


def test_two_clients_at_once_get_their_own(rig: Rig) -> None:
    one = rig.start([user("What?")], client="one", response_format=FORM)
    other = rig.begin("text.structured", Params("The", choices=["me", "it"]), client="other")
    rig.settle()
    assert one.result["message"]["content"] in FORM["choices"]
    assert other.result["text"] in ("me", "it")
