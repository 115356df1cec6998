"""Which clients share a conversation's history: the policy and its calls around a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from rkllm_twisted.errors import RuntimeRefused, StartupError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.npu.history import CLEAR, PerConnection, Shared, history_for
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.testing import FakeRuntime, StepThread

RUN = "rkllm_run"


@implementer(IRuntime)
class Clearing(FakeRuntime):
    """A runtime that records how its cache is cleared, and can refuse to clear it."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: set[str] = set()
        self.prepared: list[Any] = []

    def prepare(self, function: str, params: Any) -> Any:
        if function == CLEAR:
            self.prepared.append(params)
            return SimpleNamespace(function=function)
        return super().prepare(function, params)

    def perform(self, prepared: Any, on_result: Any = None) -> dict[str, Any]:
        if prepared.function in self.refuses:
            raise RuntimeRefused("It returned -1.", {"function": prepared.function})
        if prepared.function == CLEAR:
            self.performed.append(CLEAR)
            return {"success": True, "status_code": 0}
        return super().perform(prepared, on_result)


class Rig:
    """An NPU with a policy, a model loaded."""

    def __init__(self, history: Any) -> None:
        self.runtime = Clearing()
        self.thread = StepThread()
        self.npu = ThreadNPU(
            self.runtime, self.thread.in_thread, self.thread.from_thread, history=history
        )
        self.init()

    def init(self, client: str = "a") -> None:
        self.do(self.npu.call("rkllm_init", [{"model_path": "m"}], client))
        self.runtime.performed.clear()

    def queue(self, client: str) -> Deferred[Any]:
        return self.npu.run(RUN, [{"prompt_input": "hi"}], lambda _: None, client)

    def do(self, work: Deferred[Any]) -> Any:
        """Run the thread until idle; return the result of the Deferred."""
        results: list[Any] = []
        work.addBoth(results.append)
        self.thread.run()
        return results[0]

    def runs_of(self, *clients: str) -> list[str]:
        """The calls that reach C when these clients run, one after another."""
        for client in clients:
            assert self.do(self.queue(client))["_callback_state"] == 2
        return self.runtime.performed


def test_a_shared_history_is_never_cleared() -> None:
    """The library itself behaves like that."""
    assert Rig(Shared()).runs_of("a", "b", "a") == [RUN, RUN, RUN]


def test_an_npu_shares_its_history_unless_told_otherwise() -> None:
    """The option's default is shared."""
    assert Rig(None).runs_of("a", "b") == [RUN, RUN]


def test_another_clients_run_begins_with_a_cleared_cache() -> None:
    """The clearing shares the run's turn and keeps the system prompt."""
    rig = Rig(PerConnection())
    assert rig.runs_of("a", "b", "b", "a") == [RUN, CLEAR, RUN, RUN, CLEAR, RUN]
    assert rig.runtime.prepared == [{"keep_system_prompt": 1}] * 2


def test_a_turn_of_several_runs_clears_once() -> None:
    """Before its first run, if another client's run was before."""
    rig = Rig(PerConnection())
    rig.runs_of("a")

    def twice(turn: Any) -> None:
        for _ in range(2):
            turn.perform(turn.prepare(RUN, [{"prompt_input": "hi"}]), lambda _: None)

    rig.do(rig.npu.perform(twice, "b"))
    assert rig.runs_of("b", "a") == [RUN, CLEAR, RUN, RUN, RUN, CLEAR, RUN]


def test_the_first_run_of_a_model_clears_nothing() -> None:
    """A new model has no history, whichever client loaded it."""
    rig = Rig(PerConnection())
    rig.runs_of("a")
    rig.init("c")
    assert rig.runs_of("b") == [RUN]


def test_an_init_that_fails_leaves_the_history_to_whom_it_belongs() -> None:
    """The earlier model may still be loaded."""
    rig = Rig(PerConnection())
    rig.runs_of("a")
    rig.runtime.refuses = {"rkllm_init"}
    rig.do(rig.npu.call("rkllm_init", [{"model_path": "m"}], "b"))
    assert rig.runs_of("b") == [RUN, CLEAR, RUN]


def test_what_is_no_run_clears_nothing() -> None:
    """Other calls do not change the history's owner, either."""
    rig = Rig(PerConnection())
    rig.runs_of("a")
    rig.do(rig.npu.call("rkllm_createDefaultParam", None, "b"))
    assert rig.runs_of("a") == [RUN, "rkllm_createDefaultParam", RUN]


def test_a_run_that_was_cancelled_in_the_queue_changes_nothing() -> None:
    """The cancelled run never reached the cache."""
    rig = Rig(PerConnection())
    first, second = rig.queue("a"), rig.queue("b")
    second.addErrback(lambda _: None).cancel()
    rig.do(first)
    assert rig.runs_of("a") == [RUN, RUN]


def test_without_clearing_there_is_no_run() -> None:
    """Every run fails until clearing succeeds: the cache belongs to no client."""
    rig = Rig(PerConnection())
    rig.runs_of("a")
    rig.runtime.refuses = {CLEAR}
    assert rig.do(rig.queue("b")).check(RuntimeRefused)
    assert rig.do(rig.queue("a")).check(RuntimeRefused)
    rig.runtime.refuses = set()
    assert rig.runs_of("b", "b") == [RUN, CLEAR, RUN, RUN]


def test_without_a_model_the_run_itself_says_so() -> None:
    """No cache is cleared."""
    rig = Rig(PerConnection())
    rig.runs_of("a")
    rig.do(rig.npu.call("rkllm_destroy", None))
    error = rig.do(rig.queue("b")).value
    assert "rkllm.init" in str(error)


@pytest.mark.parametrize("abi", ["1.2.0", "1.2.1", "1.3.0"])
def test_every_release_that_can_clear_its_cache_is_taken(abi: str) -> None:
    """Its function may have two parameters or four."""
    assert isinstance(history_for(open_runtime("cpu", abi, {}), "connection"), PerConnection)


def test_a_release_that_cannot_is_refused_in_one_sentence() -> None:
    """The error names the option; "shared" still works."""
    runtime = open_runtime("cpu", "1.1.4", {})
    with pytest.raises(StartupError, match=r"^--history connection .* 1\.2\.0.* 1\.1\.4\.$"):
        history_for(runtime, "connection")
    assert isinstance(history_for(runtime, "shared"), Shared)
