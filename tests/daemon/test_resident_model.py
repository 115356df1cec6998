"""Requests that name their model: one is loaded at a time, each request runs on its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from model_folders import put
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rkllm_twisted.daemon.named_models import NamedModels
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.errors import (
    Busy,
    InvalidParams,
    NoModel,
    NotAllowed,
    RPCError,
    RuntimeCrashed,
    RuntimeRefused,
    ShuttingDown,
    TimedOut,
)
from rkllm_twisted.interfaces import IConversation
from rkllm_twisted.models.resident import CurrentModel, IResidentModel
from rkllm_twisted.models.swap_order import SwapOrder
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.npu.timeouts import Timeouts
from rkllm_twisted.testing import Answer, Crash, End, FakeRuntime, Hang, StepThread
from rkllm_twisted.testing.threads import ClockThread

#: The content of a file that the vendor's library may load, as it is of no known kind.
RKLLM = bytes(range(256))


@implementer(IConversation)
class Client:
    """A client's connection."""

    def __init__(self, administers: bool) -> None:
        self.administers = administers


class Request:
    """A request whose one call is a run, and what becomes of it."""

    def __init__(self, deferred: Deferred[Any], progress: list[str]) -> None:
        self.deferred = deferred
        self.progress = progress
        self.result: Any = None
        deferred.addBoth(self._keep)

    def _keep(self, result: Any) -> None:
        self.result = result

    @property
    def is_over(self) -> bool:
        return self.result is not None

    @property
    def error(self) -> BaseException:
        assert isinstance(self.result, Failure), self.result
        return self.result.value


class Rig:
    """The resident model over a fake runtime, its thread stepped by hand, or by the clock."""

    def __init__(
        self,
        root: Path,
        faults: Mapping[str, Any] | None = None,
        order: SwapOrder | None = None,
        limit: int = 64,
        paced: bool = False,
    ) -> None:
        self.root = root
        self.clock = Clock()
        self.thread = ClockThread(self.clock) if paced else StepThread()
        self.faults: dict[str, Any] = dict(faults or {})
        self.answers: dict[Any, Any] = {}
        waits: dict[str, Any] = {}
        if isinstance(self.thread, ClockThread):
            waits = {"wait": self.thread.sleep, "wake": self.thread.wake, "pace": self.thread.pace}
        self.runtime = FakeRuntime(self.answers, faults=self.faults, killable=True, **waits)
        self.npu = ThreadNPU(self.runtime, self.thread.in_thread, self.thread.from_thread, limit)
        self.npu.set_timeouts(self.clock, Timeouts(init=100.0))
        models = NamedModels([os.fspath(root)], self.npu, self.clock)
        self.resident = ResidentModel(self.clock, self.npu, models, limit, order)
        self.ran: list[tuple[str | None, str]] = []

    def ask(
        self,
        name: str | None,
        client: object = "a",
        procedure: Callable[[Any, CurrentModel], Any] | None = None,
    ) -> Request:
        """Ask for a run; it returns the model's name."""

        def run(turn: Any, model: CurrentModel) -> str:
            turn.perform(turn.prepare("rkllm_run", [{"prompt_input": "hi"}]), lambda _: None)
            self.ran.append((model.name, turn.model_path))
            return model.name or "a path"

        progress: list[str] = []
        return Request(
            self.resident.perform(name, procedure or run, client, progress.append), progress
        )

    def load(self, name: str, param: Any = None, client: object = "a") -> Request:
        """Ask for a load."""
        progress: list[str] = []
        return Request(self.resident.load(name, param, client, progress.append), progress)

    def raw_init(self, path: str = "/raw.rkllm") -> None:
        """Load a model by its path, as a client does."""
        self.npu.call("rkllm_init", [{"model_path": path}], "raw")

    def calls(self) -> list[str]:
        """Return the calls so far, and forget them."""
        calls, self.runtime.performed[:] = list(self.runtime.performed), []
        return [call.removeprefix("rkllm_") for call in calls]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Make a directory with models a, b and c."""
    put(tmp_path, "a.rkllm", "b.rkllm", "c.rkllm", data=RKLLM)
    return Rig(tmp_path)


def test_it_provides_the_interface(rig: Rig) -> None:
    verifyObject(IResidentModel, rig.resident)


# Loading by name


def test_a_model_is_loaded_with_the_first_request_and_stays(rig: Rig) -> None:
    first, second = rig.ask("a"), rig.ask("a")
    rig.thread.run()
    assert (first.result, second.result) == ("a", "a")
    assert rig.calls() == ["init", "run", "run"]


def test_the_procedure_gets_the_model_with_its_settings(rig: Rig) -> None:
    put(rig.root, "a.rkllm.toml", data="[param]\nmax_context_len = 512")
    seen = rig.ask("a", procedure=lambda _, model: model)
    rig.thread.run()
    model = seen.result
    assert (model.name, model.path, model.load_number) == ("a", str(rig.root / "a.rkllm"), 1)
    assert model.param["max_context_len"] == 512
    assert model == rig.resident.loaded


def test_an_alias_and_other_capital_letters_mean_the_same_model(rig: Rig) -> None:
    put(rig.root, "a.rkllm.toml", data="aliases = ['first']")
    for name in ("a", "first", "A"):
        rig.ask(name)
    rig.thread.run()
    assert rig.calls() == ["init", "run", "run", "run"]


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../b", "", "x" * 5000])
def test_a_name_that_no_model_has_is_refused_in_one_sentence(rig: Rig, name: str) -> None:
    error = rig.ask(name).error
    assert isinstance(error, InvalidParams)
    assert error.message.startswith("There is no model ")
    assert rig.calls() == []


def test_a_link_that_leads_out_of_the_directory_is_no_model(rig: Rig, tmp_path: Path) -> None:
    (rig.root / "out.rkllm").symlink_to("/etc/passwd")
    assert "There is no model 'out'" in str(rig.ask("out").error)


def test_a_model_with_a_wrong_setting_is_refused_and_the_loaded_one_stays(rig: Rig) -> None:
    put(rig.root, "b.rkllm.toml", data="[param]\ntop_k = 'x'")
    rig.ask("a")
    rig.thread.run()
    assert "param.top_k: must be a whole number" in str(rig.ask("b").error)
    assert rig.resident.loaded is not None
    assert rig.resident.loaded.name == "a"


def test_the_adapters_of_the_settings_are_loaded_with_the_model(rig: Rig) -> None:
    put(rig.root, "docs-lora.rkllm", data=RKLLM)
    put(rig.root, "a.rkllm.toml", data="adapters.docs.file = 'docs-lora.rkllm'")
    seen = rig.ask("a", procedure=lambda _, model: model.lora_adapters)
    rig.thread.run()
    assert seen.result == ("docs",)
    assert rig.npu.status().lora_adapters == ("docs",)
    assert rig.calls() == ["init", "load_lora"]


def test_an_adapter_that_cannot_be_loaded_leaves_no_half_a_model(rig: Rig) -> None:
    put(rig.root, "docs-lora.rkllm", data=RKLLM)
    put(rig.root, "a.rkllm.toml", data="adapters.docs.file = 'docs-lora.rkllm'")
    rig.faults["rkllm.load_lora"] = RuntimeRefused("It is none.", {})
    asked = rig.ask("a")
    rig.thread.run()
    assert str(asked.error) == "The adapter docs of a was not loaded: It is none."
    assert rig.resident.loaded is None


# The loaded model


def test_without_a_name_the_loaded_model_is_used_whoever_has_loaded_it(rig: Rig) -> None:
    rig.raw_init()
    asked = rig.ask(None)
    rig.thread.run()
    assert asked.result == "a path"
    assert rig.ran == [(None, "/raw.rkllm")]
    assert rig.resident.loaded == CurrentModel("/raw.rkllm", 1)


def test_without_a_name_and_a_model_the_error_says_so(rig: Rig) -> None:
    asked = rig.ask(None)
    rig.thread.run()
    assert isinstance(asked.error, NoModel)


def test_a_model_that_a_client_loads_by_its_path_meanwhile_is_replaced(rig: Rig) -> None:
    rig.ask("a")
    rig.thread.run()
    rig.raw_init()
    asked = rig.ask("a")
    rig.thread.run()
    assert asked.result == "a"
    assert rig.ran[-1] == ("a", str(rig.root / "a.rkllm"))


def test_a_client_that_loads_by_a_path_is_seen_after_a_name(rig: Rig) -> None:
    rig.ask("a")
    rig.raw_init()
    rig.thread.run()
    assert rig.resident.loaded == CurrentModel("/raw.rkllm", 2)


def test_a_model_that_was_destroyed_is_loaded_again(rig: Rig) -> None:
    rig.ask("a")
    rig.thread.run()
    rig.npu.call("rkllm_destroy", None)
    asked = rig.ask("a")
    rig.thread.run()
    assert asked.result == "a"
    assert rig.calls() == ["init", "run", "destroy", "init", "run"]


def test_a_crash_fails_the_run_and_the_next_request_loads_the_model_again(rig: Rig) -> None:
    rig.ask("a")
    rig.thread.run()

    def crash(turn: Any, _: CurrentModel) -> None:
        rig.faults["rkllm.clear_kv_cache"] = Crash()
        turn.perform(turn.prepare("rkllm_clear_kv_cache", {"keep_system_prompt": 1}))

    crashed, loaded, after = rig.ask("a", procedure=crash), rig.ask(None), rig.ask("a")
    rig.thread.run()
    assert isinstance(crashed.error, RuntimeCrashed)
    assert isinstance(loaded.error, NoModel)
    assert "was killed by" in str(loaded.error)
    assert after.result == "a"


# Swaps


def test_another_model_waits_for_those_that_run_and_then_is_loaded(rig: Rig) -> None:
    running, other = rig.ask("a"), rig.ask("b")
    assert other.progress == ["waiting"]
    rig.thread.step()
    assert running.result == "a"
    rig.thread.run()
    assert other.result == "b"
    assert other.progress == ["waiting", "loading"]
    assert rig.calls() == ["init", "run", "init", "run"]


def test_requests_for_the_loaded_model_may_pass_within_a_bound(tmp_path: Path) -> None:
    put(tmp_path, "a.rkllm", "b.rkllm", data=RKLLM)
    rig = Rig(tmp_path, order=SwapOrder(max_passes=1))
    asked = [rig.ask(name) for name in "abaa"]
    rig.thread.run()
    assert [name for name, _ in rig.ran] == ["a", "a", "b", "a"]
    assert all(request.is_over for request in asked)


def test_two_busy_models_are_not_loaded_in_turns(rig: Rig) -> None:
    for name in "abababab":
        rig.ask(name)
    rig.thread.run()
    assert rig.calls().count("init") == 2


def test_a_request_that_waits_and_is_cancelled_is_forgotten(rig: Rig) -> None:
    rig.ask("a")
    waits = rig.ask("b")
    waits.deferred.cancel()
    assert isinstance(waits.error, CancelledError)
    rig.thread.run()
    assert rig.calls() == ["init", "run"]
    assert rig.resident.waiting == ()


def test_a_request_that_is_cancelled_while_its_model_loads_leaves_the_model_whole(
    rig: Rig,
) -> None:
    put(rig.root, "docs-lora.rkllm", data=RKLLM)
    put(rig.root, "a.rkllm.toml", data="adapters.docs.file = 'docs-lora.rkllm'")
    first = rig.ask("a")
    perform = rig.runtime.perform

    def cancel_during(prepared: Any, on_result: Any = None) -> Any:
        if prepared.name == "rkllm_init":
            first.deferred.cancel()
        return perform(prepared, on_result)

    rig.runtime.perform = cancel_during  # type: ignore[method-assign]
    rig.thread.run()
    assert isinstance(first.error, CancelledError)
    assert rig.calls() == ["init"]
    second = rig.ask("a", procedure=lambda _, model: model.lora_adapters)
    rig.thread.run()
    assert second.result == ("docs",)
    assert rig.calls() == ["load_lora"]


def test_who_waits_for_another_model_is_counted(rig: Rig) -> None:
    rig.ask("a")
    rig.ask("b", "x")
    rig.ask("b", "x")
    assert [(one.client, one.calls) for one in rig.resident.waiting] == [("x", 2)]


def test_too_many_that_wait_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.rkllm", "b.rkllm", data=RKLLM)
    rig = Rig(tmp_path, limit=2)
    for name in "abb":
        rig.ask(name)
    assert isinstance(rig.ask("b").error, Busy)


# Loads that fail


def test_a_load_that_fails_fails_all_that_wait_for_it_with_its_own_error(rig: Rig) -> None:
    rig.ask("a")
    rig.thread.run()
    rig.faults["rkllm.init"] = [RuntimeRefused("rkllm_init returned -1.", {"x": 1}), None]
    rig.ask("a")
    waits = [rig.ask("b"), rig.ask("b"), rig.ask("b")]
    other = rig.ask("c")
    rig.thread.run()
    errors = [request.error for request in waits]
    said = "rkllm_init returned -1. a, which was loaded before, is not loaded any more."
    assert [str(error) for error in errors] == [said] * 3
    assert errors[0].data == {"x": 1, "unloaded": "a"}  # type: ignore[attr-defined]
    assert len({id(error) for error in errors}) == 3
    assert other.result == "c"


def test_those_that_could_not_pass_fail_with_a_failed_load_too(tmp_path: Path) -> None:
    put(tmp_path, "a.rkllm", "b.rkllm", "c.rkllm", data=RKLLM)
    rig = Rig(tmp_path, {"rkllm.init": [None, RPCError("no"), None]}, SwapOrder(max_passes=0))
    asked = [rig.ask(name) for name in "abcb"]
    rig.thread.run()
    assert [asked[0].result, asked[2].result] == ["a", "c"]
    assert str(asked[1].error).startswith("no")
    assert str(asked[3].error).startswith("no")


def test_after_a_failed_load_the_model_before_is_loaded_again_for_its_requests(rig: Rig) -> None:
    rig.faults["rkllm.init"] = [None, RPCError("no"), None]
    rig.ask("a")
    failing = rig.ask("b")
    rig.thread.run()
    again = rig.ask("a")
    rig.thread.run()
    assert failing.result.check(RPCError)
    assert again.result == "a"


def test_a_crash_while_loading_fails_those_that_wait_and_no_others(rig: Rig) -> None:
    rig.faults["rkllm.init"] = [Crash(), None]
    first, second, other = rig.ask("a"), rig.ask("a"), rig.ask("b")
    rig.thread.run()
    assert isinstance(first.error, RuntimeCrashed)
    assert isinstance(second.error, RuntimeCrashed)
    assert other.result == "b"


def test_a_load_that_takes_too_long_fails_those_that_wait_and_no_others(tmp_path: Path) -> None:
    put(tmp_path, "a.rkllm", "b.rkllm", data=RKLLM)
    rig = Rig(tmp_path, {"rkllm.init": [Hang(), None]}, SwapOrder(max_passes=0), paced=True)
    loading, other, waits = rig.ask("a"), rig.ask("b"), rig.ask("a")
    rig.clock.pump([0] * 5)  # the load begins
    rig.clock.advance(99)
    assert not loading.is_over
    rig.clock.advance(1)
    assert isinstance(loading.error, TimedOut)
    assert isinstance(waits.error, TimedOut)
    rig.clock.pump([1] * 10)  # until the runtime is killed
    assert other.result == "b"


def test_a_daemon_that_stops_fails_those_that_wait(rig: Rig) -> None:
    rig.ask("a")
    waits = rig.ask("b")
    rig.npu.drain()
    rig.thread.run()
    assert isinstance(waits.error, ShuttingDown)


# Permission to load a model


def test_a_client_that_may_not_administer_runs_on_the_loaded_model_only(rig: Rig) -> None:
    rig.ask("a", Client(administers=True))
    rig.thread.run()
    plain = Client(administers=False)
    runs, loads = rig.ask("a", plain), rig.ask("b", plain)
    rig.thread.run()
    assert runs.result == "a"
    assert isinstance(loads.error, NotAllowed)
    assert rig.calls() == ["init", "run", "run"]


def test_a_client_that_may_not_administer_loads_nothing_in_place_of_what_came_between(
    rig: Rig,
) -> None:
    rig.ask("a", Client(administers=True))
    rig.thread.run()
    rig.raw_init()
    asked = rig.ask("a", Client(administers=False))
    rig.thread.run()
    assert isinstance(asked.error, NotAllowed)
    assert rig.npu.status().model_path == "/raw.rkllm"


# Load and unload


def test_a_load_says_what_was_loaded_and_how_long_it_took(rig: Rig) -> None:
    perform = rig.runtime.perform

    def slowly(prepared: Any, on_result: Any = None) -> Any:
        if prepared.name == "rkllm_init":
            rig.clock.rightNow += 3
        return perform(prepared, on_result)

    rig.runtime.perform = slowly  # type: ignore[method-assign]
    loads = rig.load("a", {"max_context_len": 1024})
    rig.thread.run()
    assert (loads.result.name, loads.result.load_time_s) == ("a", 3)
    assert loads.result.param == {
        "model_path": str(rig.root / "a.rkllm"),
        "max_context_len": 1024,
    }
    assert loads.progress == ["loading"]


def test_a_model_that_is_loaded_alike_is_not_loaded_again(rig: Rig) -> None:
    rig.load("a", {"top_k": 1})
    rig.thread.run()
    again = rig.load("a", {"top_k": 1})
    assert again.result.load_number == 1


@pytest.mark.parametrize("param", [None, {"top_k": 2}])
def test_a_model_that_is_loaded_otherwise_is_loaded_again(rig: Rig, param: Any) -> None:
    rig.load("a", {"top_k": 1})
    rig.thread.run()
    again = rig.load("a", param)
    rig.thread.run()
    assert again.result.load_number == 2


def test_a_model_whose_file_has_changed_is_loaded_again(rig: Rig) -> None:
    rig.load("a")
    rig.thread.run()
    put(rig.root, "a.rkllm", data=2 * RKLLM)
    again = rig.load("a")
    rig.thread.run()
    assert again.result.load_number == 2


def test_a_request_takes_a_model_that_is_loaded_with_other_parameters(rig: Rig) -> None:
    rig.load("a", {"top_k": 1})
    asked = rig.ask("a", procedure=lambda _, model: model.param["top_k"])
    rig.thread.run()
    assert asked.result == 1


def test_a_field_in_a_structure_takes_the_place_of_that_field_only(rig: Rig) -> None:
    toml = "[param.extend_param]\nembed_flash = 1\nn_batch = 1"
    put(rig.root, "a.rkllm.toml", data=toml)
    loads = rig.load("a", {"extend_param": {"n_batch": 2}})
    rig.thread.run()
    assert loads.result.param["extend_param"] == {"embed_flash": 1, "n_batch": 2}


@pytest.mark.parametrize(
    ("param", "said"),
    [
        ({"model_path": "/x"}, "param.model_path: is the file of the model; leave it out."),
        ({"topk": 1}, "param.topk"),
        ({"top_k": "x"}, "param.top_k: must be a whole number (int32_t), not a string."),
    ],
)
def test_wrong_parameters_are_refused_before_anything_waits(
    rig: Rig, param: Mapping[str, Any], said: str
) -> None:
    rig.ask("b")
    assert said in str(rig.load("a", param).error)


def test_a_model_is_unloaded_by_its_name(rig: Rig) -> None:
    rig.ask("a")
    rig.thread.run()
    unloads = Request(rig.resident.unload("a"), [])
    rig.thread.run()
    assert unloads.result.name == "a"
    assert rig.resident.loaded is None


def test_another_model_than_the_loaded_is_not_unloaded(rig: Rig) -> None:
    rig.ask("a")
    rig.thread.run()
    unloads = Request(rig.resident.unload("b"), [])
    rig.thread.run()
    assert str(unloads.error) == "b is not loaded; a is."
    assert rig.resident.loaded is not None


def test_whatever_is_loaded_is_unloaded_without_a_name(rig: Rig) -> None:
    rig.raw_init()
    unloads = Request(rig.resident.unload(), [])
    rig.thread.run()
    assert unloads.result == CurrentModel("/raw.rkllm", 1)


def test_without_a_model_there_is_nothing_to_unload(rig: Rig) -> None:
    unloads = Request(rig.resident.unload(), [])
    rig.thread.run()
    assert isinstance(unloads.error, NoModel)
    assert str(unloads.error) == "No model is loaded; there is nothing to unload."


# End tokens


@pytest.mark.parametrize("then", [End.FINISH, End.ERROR, End.SILENT])
@pytest.mark.parametrize("end", ["2", "'<|end|>'"])
def test_a_run_of_any_client_ends_at_the_models_end_tokens(rig: Rig, end: str, then: End) -> None:
    put(rig.root, "a.rkllm.toml", data=f"end_tokens = [{end}]")
    rig.load("a")
    rig.thread.run()
    rig.answers["hi"] = Answer(["one", " two", "<|end|>", " three", " four"], then)
    texts: list[str] = []
    done = Request(
        rig.npu.run("rkllm_run", [{"prompt_input": "hi"}], lambda one: texts.append(one["text"])),
        [],
    )
    rig.thread.run()
    assert texts == ["one", " two"]
    assert done.result["_callback_state"] == 2
    assert "_finish_reason" not in done.result
