"""The calls of one turn: which of them an abort and a cancellation concern."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from rkllm_twisted.abi.return_codes import outputs_of
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.interfaces import IRuntime, ITurn
from rkllm_twisted.npu.history import Observed, Shared
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.testing import FakeRuntime, StepThread
from rkllm_twisted.values import FINISH_REASON

RUN = {"rkllm_input": {"prompt_input": "hi"}}


@implementer(IRuntime)
class CountingAborts(FakeRuntime):
    """A runtime that counts the aborts."""

    aborts = 0

    def abort(self) -> dict[str, Any]:
        self.aborts += 1
        return super().abort()


class Rig:
    """An NPU that has loaded a model."""

    def __init__(self) -> None:
        self.runtime, self.thread = CountingAborts(), StepThread()
        self.runtime.load("m")
        self.npu = ThreadNPU(self.runtime, self.thread.in_thread, self.thread.from_thread)

    def turn(self, procedure: Callable[[ITurn], Any]) -> Deferred[Any]:
        """Queue a turn."""
        return self.npu.perform(procedure, "a")

    def run(self, turn: Any, on_result: Callable[[Any], object] = lambda _: None) -> Any:
        """Make a run in a turn."""
        return turn.perform(turn.prepare("rkllm_run", RUN), on_result)


@pytest.fixture
def rig() -> Rig:
    """Make an NPU with a model."""
    return Rig()


def test_an_abort_concerns_only_the_run_during_which_it_came(rig: Rig) -> None:
    """The next run of the turn does not say that it was cancelled."""
    reasons: list[object] = []

    def procedure(turn: ITurn) -> None:
        reasons.append(rig.run(turn, lambda _: rig.npu.abort()).get(FINISH_REASON))
        reasons.append(rig.run(turn).get(FINISH_REASON))

    rig.turn(procedure)
    rig.thread.run()
    assert reasons == ["cancelled", None]


def test_an_abort_between_two_calls_of_a_turn_ends_the_next_run(rig: Rig) -> None:
    """C, which refuses an abort without a run, is not asked, and the run does not enter it."""
    results: list[Any] = []
    answers: list[Any] = []

    def procedure(turn: ITurn) -> None:
        rig.run(turn)
        rig.npu.abort().addCallback(answers.append)
        turn.perform(turn.prepare("rkllm_get_kv_cache_size", []))
        results.extend(rig.run(turn) for _ in range(2))

    rig.turn(procedure)
    rig.thread.run()
    assert answers == [{"success": True, "status_code": 0}]
    assert rig.runtime.aborts == 0
    assert [one.get(FINISH_REASON) for one in results] == ["cancelled", None]
    assert rig.runtime.performed == ["rkllm_run", "rkllm_get_kv_cache_size", "rkllm_run"]
    assert rig.npu.status().runs == 2


def test_an_abort_just_before_c_is_repeated_in_the_run(rig: Rig) -> None:
    """C has refused it, because no run was under way."""
    answers: list[Any] = []
    abort = rig.runtime.abort

    def refuse() -> dict[str, Any]:
        rig.runtime.abort = abort  # type: ignore[method-assign]
        return outputs_of("rkllm_abort", -1)

    class Before(Shared):
        def before(self, *_: object) -> None:
            rig.npu.abort().addBoth(answers.append)

    rig.npu._history = Observed(Before())
    rig.runtime.abort = refuse  # type: ignore[method-assign]
    texts: list[str] = []
    reasons: list[object] = []

    def procedure(turn: ITurn) -> None:
        reasons.append(rig.run(turn, lambda one: texts.append(one["text"])).get(FINISH_REASON))

    rig.turn(procedure)
    rig.thread.run()
    assert answers == [{"success": True, "status_code": 0}]
    assert (texts, reasons) == (["Hello"], ["cancelled"])


def test_an_abort_after_c_has_returned_ends_the_next_run(rig: Rig) -> None:
    """What follows a run in the NPU thread belongs to no run."""
    answers: list[Any] = []
    reasons: list[object] = []

    class After(Shared):
        def after(self, *_: object) -> None:
            if not answers:
                rig.npu.abort().addBoth(answers.append)

    rig.npu._history = Observed(After())

    def procedure(turn: ITurn) -> None:
        reasons.extend(rig.run(turn).get(FINISH_REASON) for _ in range(3))

    rig.turn(procedure)
    rig.thread.run()
    assert answers == [{"success": True, "status_code": 0}]
    assert reasons == [None, "cancelled", None]


def test_an_abort_of_a_call_alone_that_c_has_refused_stops_nothing(rig: Rig) -> None:
    """Its client is told that it was refused, so the run, which C had not begun, is whole."""
    texts: list[str] = []
    results: list[Any] = []
    errors: list[Any] = []
    run = rig.npu.run("rkllm_run", RUN, lambda one: texts.append(one["text"]), "a")
    run.addCallback(results.append)
    refuse = partial(outputs_of, "rkllm_abort", -1)
    with patch.object(rig.runtime, "abort", refuse):
        rig.npu.abort().addErrback(errors.append)
    rig.thread.run()
    assert errors[0].check(RuntimeRefused)
    assert (texts, results[0].get(FINISH_REASON)) == (["Hello", " world"], None)
    assert rig.runtime.aborts == 0


def test_an_abort_while_another_call_than_a_run_is_made_alone_is_cs_own(rig: Rig) -> None:
    """No run follows in the turn, so that the library's own answer is returned."""
    rig.npu.call("rkllm_get_kv_cache_size", [])
    rig.npu.abort()
    rig.thread.run()
    assert rig.runtime.aborts == 1


def test_a_turn_that_is_given_up_between_its_calls_aborts_nothing(rig: Rig) -> None:
    """No run is in C; the next call is refused."""
    errors: list[Any] = []

    def procedure(turn: ITurn) -> None:
        rig.run(turn)
        given_up.cancel()
        rig.run(turn)

    given_up = rig.turn(procedure)
    given_up.addErrback(errors.append)
    rig.thread.run()
    assert errors[0].check(CancelledError)
    assert rig.runtime.performed == ["rkllm_run"]
    assert rig.runtime.aborts == 0


def test_a_turn_that_is_given_up_during_a_run_aborts_it(rig: Rig) -> None:
    """The run ends early, and no further call is made."""
    texts: list[str] = []

    def procedure(turn: ITurn) -> None:
        rig.run(turn, lambda result: (texts.append(result["text"]), given_up.cancel()))
        rig.run(turn)

    given_up = rig.turn(procedure)
    given_up.addErrback(lambda reason: reason.trap(CancelledError))
    rig.thread.run()
    assert texts == ["Hello"]
    assert rig.runtime.performed == ["rkllm_run"]
    assert rig.runtime.aborts


def test_the_status_names_the_call_under_way(rig: Rig) -> None:
    """Each call of the turn is announced before it begins."""
    seen: list[object] = []

    def look() -> None:
        running = rig.npu.status().running
        seen.append(running and (running.client, running.function))

    def procedure(turn: ITurn) -> None:
        for function, params in (("rkllm_clear_kv_cache", [0]), ("rkllm_get_kv_cache_size", [])):
            turn.perform(turn.prepare(function, params))
            turn.deliver(look)

    rig.turn(procedure)
    rig.thread.run()
    assert seen == [("a", "rkllm_clear_kv_cache"), ("a", "rkllm_get_kv_cache_size")]
    assert rig.npu.status().running is None


def test_what_is_delivered_after_the_turn_was_given_up_is_dropped(rig: Rig) -> None:
    """The caller has its answer already."""
    delivered: list[int] = []

    def procedure(turn: ITurn) -> None:
        turn.deliver(delivered.append, 1)
        turn.deliver(given_up.cancel)
        turn.deliver(delivered.append, 2)

    given_up = rig.turn(procedure)
    given_up.addErrback(lambda reason: reason.trap(CancelledError))
    rig.thread.run()
    assert delivered == [1]


def test_the_question_for_the_width_is_aborted_when_its_client_leaves(rig: Rig) -> None:
    """It is a run: one token, which may hang."""
    reached: list[object] = []

    def leave() -> int:
        asked.cancel()
        return 8

    def procedure(turn: ITurn) -> None:
        reached.append("asked")
        reached.append(turn.embedding_width())

    rig.runtime.embedding_width = leave  # type: ignore[method-assign]
    asked = rig.turn(procedure)
    asked.addErrback(lambda failure: failure.trap(CancelledError))
    rig.thread.run()
    assert (reached, rig.runtime.aborts) == (["asked"], 1)


def test_an_abort_during_the_question_for_the_width_ends_the_next_run(rig: Rig) -> None:
    """The client that aborts knows of no question."""
    reasons: list[object] = []

    def abort() -> int:
        rig.npu.abort()
        return 8

    def procedure(turn: ITurn) -> None:
        assert turn.embedding_width() == 8
        reasons.append(rig.run(turn).get(FINISH_REASON))
        reasons.append(rig.run(turn).get(FINISH_REASON))

    rig.runtime.embedding_width = abort  # type: ignore[method-assign]
    rig.turn(procedure)
    rig.thread.run()
    assert reasons == ["cancelled", None]
    assert rig.runtime.performed == ["rkllm_run"]
