"""The NPU's thread and queue, stepped by hand through each moment."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import (
    Busy,
    InvalidParams,
    NoModel,
    NotInRelease,
    RuntimeRefused,
    ShuttingDown,
)
from rkllm_twisted.interfaces import INPU, IRuntime
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.testing import Answer, End, FakeRuntime, StepThread


class Outcome:
    """The result or the error of a Deferred."""

    def __init__(self, deferred: Deferred[Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.deferred = deferred
        deferred.addCallbacks(self._keep, self._fail)

    def _keep(self, result: object) -> None:
        self.result = result

    def _fail(self, failure: Any) -> None:
        self.error = failure.value


class Rig:
    """An NPU over a fake runtime, a model loaded."""

    def __init__(self, runtime: FakeRuntime | None = None, queue_limit: int = 64) -> None:
        self.runtime = runtime or FakeRuntime()
        self.thread = StepThread()
        self.npu = ThreadNPU(
            self.runtime, self.thread.in_thread, self.thread.from_thread, queue_limit
        )
        self.npu.call("rkllm_init", [{"model_path": "m"}])
        self.thread.run()
        self.runtime.performed.clear()

    def run(self, prompt: str = "hi", client: object = "a") -> tuple[Outcome, list[str]]:
        """Queue a run; return its outcome and the texts that it streams."""
        texts: list[str] = []
        done = self.npu.run(
            "rkllm_run",
            [{"prompt_input": prompt}],
            lambda result: texts.append(result["text"]),
            client,
        )
        return Outcome(done), texts


def test_the_fakes_provide_what_they_claim() -> None:
    """zope.interface verifies the fakes."""
    rig = Rig()
    assert verifyObject(INPU, rig.npu)
    assert verifyObject(IRuntime, rig.runtime)


def test_a_run_streams_its_results_and_then_ends() -> None:
    """The stream has the partial results in order; the call's result is the final one."""
    rig = Rig()
    outcome, texts = rig.run()
    rig.thread.run()
    assert texts == ["Hello", " world"]
    assert outcome.result["_callback_state"] == 2
    assert rig.npu.status().tokens == 2


def test_calls_reach_the_library_one_at_a_time() -> None:
    """The second call is not given to the thread before the first is back."""
    rig = Rig()
    rig.run()
    rig.run()
    assert len(rig.thread) == 1
    assert rig.npu.status().queue_length == 1
    rig.thread.step()
    assert len(rig.thread) == 1


def test_wrong_parameters_fail_at_once_and_take_no_turn() -> None:
    """The NPU checks parameters before it queues the call."""
    rig = Rig()
    rig.run()
    assert isinstance(Outcome(rig.npu.call("rkllm_init", {"x": 1})).error, InvalidParams)
    assert isinstance(Outcome(rig.npu.call("rkllm_nope", [])).error, NotInRelease)
    assert rig.npu.status().queue_length == 0


def test_without_a_model_a_run_says_so() -> None:
    """The run fails with NoModel, and the NPU goes on."""
    runtime = FakeRuntime()
    thread = StepThread()
    npu = ThreadNPU(runtime, thread.in_thread, thread.from_thread)
    outcome = Outcome(npu.run("rkllm_run", [{"prompt_input": "x"}], lambda _: None))
    thread.run()
    assert isinstance(outcome.error, NoModel)
    assert isinstance(Outcome(npu.abort()).error, NoModel)
    assert isinstance(Outcome(npu.is_running()).error, NoModel)
    assert npu.status().state == "empty"


def test_a_cancelled_call_in_the_queue_never_reaches_the_library() -> None:
    """It leaves the queue and is answered at once."""
    rig = Rig()
    rig.run("first")
    outcome, _ = rig.run("second")
    outcome.deferred.cancel()
    assert isinstance(outcome.error, CancelledError)
    rig.thread.run()
    assert rig.runtime.performed == ["rkllm_run"]


def test_cancelling_the_run_under_way_aborts_it() -> None:
    """The caller is answered at once; the turn ends when the thread is back; nothing more comes."""
    rig = Rig(FakeRuntime({"on": Answer(endless=True)}, pace=lambda: pace()))
    outcome, texts = rig.run("on")
    after, _ = rig.run("next")
    steps = 0

    def pace() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            outcome.deferred.cancel()

    rig.thread.step()
    assert isinstance(outcome.error, CancelledError)
    assert steps == 5, "after it, only the last callback and the return"
    assert texts == [], "what was streamed before the cancel was still on its way: dropped"
    rig.thread.run()
    assert after.result["_callback_state"] == 2


def test_cancelling_before_the_thread_has_begun_keeps_the_run_out_of_c() -> None:
    """The cancel comes after the run gets its turn and before the thread starts it."""
    rig = Rig(FakeRuntime({"on": Answer(endless=True)}))
    outcome, _ = rig.run("on")
    outcome.deferred.cancel()
    rig.thread.run()
    assert isinstance(outcome.error, CancelledError)
    assert rig.runtime.performed == []


def test_a_cancel_that_comes_just_before_c_aborts_the_run_in_c() -> None:
    """The abort came too early for C; the first callback repeats it."""
    steps = 0

    def pace() -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            outcome.deferred.cancel()

    rig = Rig(FakeRuntime({"on": Answer(("x",) * 100)}, pace))
    outcome, texts = rig.run("on")
    rig.thread.run()
    assert rig.runtime.performed == ["rkllm_run"]
    assert texts == []
    assert steps == 4, "before C, the one token, the last callback, the return"


def test_cancelling_one_never_stops_another() -> None:
    """A queued run's cancel does not abort the run under way."""
    rig = Rig(FakeRuntime(pace=lambda: rig.runtime.prompt and other.deferred.cancel()))
    outcome, texts = rig.run("first", "a")
    other, _ = rig.run("second", "b")
    rig.thread.run()
    assert isinstance(other.error, CancelledError)
    assert texts == ["Hello", " world"]
    assert outcome.result["_callback_state"] == 2


def test_what_comes_of_a_cancelled_run_is_dropped_in_silence(
    flush_logged_errors: Callable[..., list[Failure]],
) -> None:
    """The caller has its answer; no second answer is sent, and no failure is logged."""
    rig = Rig()
    outcome, _ = rig.run()
    outcome.deferred.cancel()
    rig.thread.run()
    gc.collect()  # an unhandled failure is logged when its Deferred goes
    assert flush_logged_errors() == []


def test_a_cancel_after_the_end_does_nothing() -> None:
    """The cancel does not affect the next run."""
    rig = Rig()
    first, _ = rig.run()
    rig.thread.run()
    second, texts = rig.run()
    first.deferred.cancel()
    rig.thread.run()
    assert texts == ["Hello", " world"]
    assert second.error is None


def test_abort_ends_the_run_under_way_for_whoever_asked() -> None:
    """rkllm.abort works as in C: the run ends with a final result."""
    rig = Rig(FakeRuntime({"on": Answer(endless=True)}, pace=lambda: rig.npu.abort()))
    outcome, texts = rig.run("on")
    rig.thread.run()
    assert texts == ["Hello"]
    assert outcome.result["_callback_state"] == 2


def test_a_run_that_ends_in_error_gives_the_erring_result() -> None:
    """State 3 ends the stream although C's status was not 0."""
    rig = Rig(FakeRuntime({"bad": Answer(("x",), then=End.ERROR)}))
    outcome, texts = rig.run("bad")
    rig.thread.run()
    assert texts == ["x"]
    assert outcome.result["_callback_state"] == 3


def test_a_run_without_finish_is_finished_by_its_return() -> None:
    """The end of rkllm_run ends the stream."""
    rig = Rig(FakeRuntime({"quiet": Answer(("x",), then=End.SILENT)}))
    outcome, _ = rig.run("quiet")
    rig.thread.run()
    assert outcome.result["text"] is None
    assert outcome.result["_callback_state"] == 2


def test_state_follows_the_model() -> None:
    """The states are empty, loading, loaded, running, loaded, empty."""
    runtime, thread = FakeRuntime(), StepThread()
    npu = ThreadNPU(runtime, thread.in_thread, thread.from_thread)
    states = [npu.status().state]
    for call in (
        lambda: npu.call("rkllm_init", [{"model_path": "m"}]),
        lambda: npu.run("rkllm_run", [{"prompt_input": "x"}], lambda _: None),
        lambda: npu.call("rkllm_destroy", []),
    ):
        call()
        states.append(npu.status().state)
        thread.run()
        states.append(npu.status().state)
    assert states == ["empty", "loading", "loaded", "running", "loaded", "loaded", "empty"]


def test_a_full_queue_is_busy() -> None:
    """The call is refused at once; the error has the queue's length."""
    rig = Rig(queue_limit=1)
    rig.run()
    rig.run()
    outcome, _ = rig.run()
    assert isinstance(outcome.error, Busy)
    assert outcome.error.data == {"queue_length": 1}


def test_close_answers_everybody_and_destroys_the_model() -> None:
    """Waiting and running calls fail with ShuttingDown; then the model is destroyed."""
    closed: list[Outcome] = []
    rig = Rig(
        FakeRuntime(
            {"on": Answer(endless=True)}, pace=lambda: closed.append(Outcome(rig.npu.close()))
        )
    )
    running, _ = rig.run("on")
    waiting, _ = rig.run("later")
    rig.thread.run()
    assert isinstance(running.error, ShuttingDown)
    assert isinstance(waiting.error, ShuttingDown)
    assert not rig.runtime.loaded
    assert closed[0].error is None
    assert rig.npu.status().state == "closed"
    late, _ = rig.run("too late")
    assert isinstance(late.error, ShuttingDown)


def test_the_status_names_as_many_clients_as_are_asked_for() -> None:
    """And it counts all clients and calls."""
    rig = Rig(queue_limit=1000)
    for client in range(301):
        rig.run(client=client)
    status = rig.npu.status(100)
    assert [each.client for each in status.waiting] == list(range(1, 101))
    assert rig.npu.status().waiting == ()
    assert status.waiting_clients == status.queue_length == 300


def test_a_refusal_frees_the_npu() -> None:
    """RuntimeRefused from C reaches the caller and the next call goes on."""

    class Refusing(FakeRuntime):
        def perform(self, prepared: Any, on_result: Any = None) -> dict[str, Any]:
            if prepared.function == "rkllm_destroy":
                raise RuntimeRefused("no", {"function": "rkllm_destroy", "status_code": -1})
            return super().perform(prepared, on_result)

    rig = Rig(Refusing())
    refused = Outcome(rig.npu.call("rkllm_destroy", []))
    outcome, _ = rig.run()
    rig.thread.run()
    assert isinstance(refused.error, RuntimeRefused)
    assert outcome.result["_callback_state"] == 2


def load(rig: Rig, **param: int) -> None:
    """Load a model with limits."""
    rig.npu.call("rkllm_init", [{"model_path": "m", **param}])
    rig.thread.run()
    rig.runtime.performed.clear()


@pytest.mark.parametrize(
    ("function", "params"),
    [
        ("rkllm_set_chat_template", {"system_prompt": "word " * 64, "prompt_prefix": "a"}),
        ("rkllm_set_function_tools", {"system_prompt": "", "tools": [["word "] * 64]}),
    ],
)
def test_a_template_longer_than_the_context_is_refused_at_once(
    function: str, params: dict[str, Any]
) -> None:
    """The library does not see it; the sentence has both numbers."""
    rig = Rig()
    load(rig, max_context_len=64)
    refused = Outcome(rig.npu.call(function, params))
    rig.thread.run()
    assert isinstance(refused.error, InvalidParams)
    assert re.search(r"has 6[45] words, .* context of 64 tokens; shorten it", str(refused.error))
    assert refused.error.data is not None
    assert refused.error.data["parameter"] in ("system_prompt", "tools")
    assert rig.runtime.performed == []


def test_a_template_that_may_fit_reaches_the_library() -> None:
    """One word less than the context."""
    rig = Rig()
    load(rig, max_context_len=64)
    done = Outcome(rig.npu.call("rkllm_set_chat_template", ["word " * 63, "", ""]))
    rig.thread.run()
    assert done.error is None


def test_only_runs_that_may_meet_a_history_pay_for_a_look_at_the_cache() -> None:
    """A model that never kept one is not asked."""
    rig = Rig()
    rig.run()
    rig.thread.run()
    assert rig.runtime.performed == ["rkllm_run"]
    rig.npu.run("rkllm_run", [{"prompt_input": "a"}, {"keep_history": 1}], lambda _: None)
    rig.thread.run()
    rig.run()
    rig.thread.run()
    assert rig.runtime.performed[1:] == ["rkllm_run", "rkllm_get_kv_cache_size"] * 2
