"""Any requests, cancels, crashes, failures and raw calls: each request runs on its own model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from model_folders import put
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from rkllm_twisted.daemon.named_models import NamedModels
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.errors import RPCError, RuntimeRefused
from rkllm_twisted.models.resident import CurrentModel
from rkllm_twisted.models.swap_order import SwapOrder
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.testing import Crash, FakeRuntime, StepThread

NAMES = st.sampled_from(["a", "b", "c"])
CLIENTS = st.sampled_from(["x", "y", "z"])


class Requests(RuleBasedStateMachine):
    """The resident model over a fake runtime, whose thread does a step now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        root = Path(self.directory.name)
        put(root, "a.rkllm", "b.rkllm", "c.rkllm", "c-lora.rkllm", data=bytes(range(256)))
        put(root, "c.rkllm.toml", data="adapters.one.file = 'c-lora.rkllm'")
        self.clock, self.thread = Clock(), StepThread()
        self.faults: dict[str, Any] = {}
        self.answers: dict[Any, Any] = {}
        self.runtime = FakeRuntime(self.answers, faults=self.faults)
        self.npu = ThreadNPU(self.runtime, self.thread.in_thread, self.thread.from_thread, 8)
        models = NamedModels([os.fspath(root)], self.npu, self.clock)
        order = SwapOrder(max_passes=2, max_wait=10)
        self.resident = ResidentModel(self.clock, self.npu, models, 8, order)
        self.pending: list[Deferred[Any]] = []
        self.wrong: list[str] = []

    def keep(self, request: Deferred[Any]) -> None:
        """Remember a request until it is answered."""
        self.pending.append(request)
        request.addBoth(self.answered, request)

    def answered(self, result: Any, request: Deferred[Any]) -> None:
        self.pending.remove(request)
        if isinstance(result, Failure) and not result.check(RPCError, CancelledError):
            self.wrong.append(repr(result))

    @rule(name=st.none() | NAMES, client=CLIENTS)
    def ask(self, name: str | None, client: str) -> None:
        def procedure(turn: Any, model: CurrentModel) -> None:
            if name not in (None, model.name) or self.runtime.model_path != model.path:
                self.wrong.append(f"{name} ran on {model}, {self.runtime.model_path}")
            if model.name == "c" and model.lora_adapters != ("one",):
                self.wrong.append(f"{model} lacks its adapter")
            turn.perform(turn.prepare("rkllm_run", [{"prompt_input": "hi"}]), lambda _: None)

        self.keep(self.resident.perform(name, procedure, client))

    @rule(name=NAMES, top_k=st.sampled_from([None, 1, 2]))
    def load(self, name: str, top_k: int | None) -> None:
        self.keep(self.resident.load(name, {"top_k": top_k} if top_k else None))

    @rule(name=st.none() | NAMES)
    def unload(self, name: str | None) -> None:
        self.keep(self.resident.unload(name))

    @rule(call=st.sampled_from(["init", "destroy", "run"]))
    def call_without_a_name(self, call: str) -> None:
        if call == "init":
            self.keep(self.npu.call("rkllm_init", [{"model_path": "/raw"}], "raw"))
        elif call == "destroy":
            self.keep(self.npu.call("rkllm_destroy", None, "raw"))
        else:
            hi = [{"prompt_input": "hi"}]
            self.keep(self.npu.run("rkllm_run", hi, lambda _: None, "raw"))

    @rule(
        method=st.sampled_from(["rkllm.init", "rkllm.load_lora"]),
        fault=st.sampled_from([None, RuntimeRefused("no", {}), Crash()]),
    )
    def change_fault(self, method: str, fault: Any) -> None:
        self.faults[method] = fault

    @rule(crashes=st.booleans())
    def change_runs(self, crashes: bool) -> None:
        self.answers["hi"] = Crash() if crashes else "Hello"

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.pending)).cancel()

    @precondition(lambda self: len(self.thread))
    @rule()
    def work(self) -> None:
        self.thread.step()

    @precondition(lambda self: len(self.thread))
    @rule()
    def work_but_do_not_tell(self) -> None:
        """The thread is ahead of the reactor."""
        self.thread.go()

    @precondition(lambda self: self.thread.calls)
    @rule()
    def tell(self) -> None:
        self.thread.deliver()

    @rule(seconds=st.floats(0, 15))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.wrong == []

    @invariant()
    def what_waits_has_something_to_wait_for(self) -> None:
        assert not self.pending or len(self.thread) or self.thread.calls

    def teardown(self) -> None:
        """Every request is answered, and the model still serves."""
        try:
            self.faults.clear()
            self.answers.clear()
            self.finish()
            assert self.pending == []
            assert self.resident.waiting == ()
            for name in "abc":
                self.ask(name, "x")
                self.finish()
                assert self.resident.loaded is not None
                assert self.resident.loaded.name == name
            assert self.wrong == []
        finally:
            self.directory.cleanup()

    def finish(self) -> None:
        while len(self.thread) or self.thread.calls:
            if self.thread.calls:
                self.thread.deliver()
            else:
                self.thread.go()


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
