"""The daemon's own methods: their calls to the NPU and their answers."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import NotAllowed, RuntimeRefused
from rkllm_twisted.interfaces import IRKLLMMethod, IRPCMethod
from rkllm_twisted.methods.cancel import Params as CancelParams
from rkllm_twisted.methods.cancel import cancel
from rkllm_twisted.methods.configure import Params as ConfigureParams
from rkllm_twisted.methods.configure import configure
from rkllm_twisted.methods.run import JoinedResult, run
from rkllm_twisted.methods.run_async import run_async
from rkllm_twisted.testing import fake_result
from rkllm_twisted.values import FloatArray, NPUStatus

OWN = [
    method
    for method in getPlugins(IRPCMethod)
    if type(method).__module__.startswith("rkllm_twisted.methods")
]


class RecordingNPU:
    """Records its calls and plays one run."""

    def __init__(self, *partials: dict[str, Any], final: dict[str, Any] | None = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._partials = partials
        self._final = final or fake_result(None, 2, len(partials))

    def call(self, *asked: object) -> Deferred[Any]:
        self.asked.append(asked)
        return succeed({"success": True, "status_code": 0})

    def run(
        self, function: str, params: object, on_result: Any, client: object, form: Any
    ) -> Deferred[Any]:
        self.asked.append((function, params, client))
        for partial in self._partials:
            on_result(form(partial))
        return succeed(form(self._final))

    def stream(
        self, function: str, params: object, on_results: Any, client: object, form: Any
    ) -> Deferred[Any]:
        self.asked.append((function, params, client))
        on_results([form(partial) for partial in self._partials])
        return succeed(form(self._final))

    def status(self) -> NPUStatus:
        return NPUStatus("loaded", "m", 0, 0, 0)


class RecordingConversation:
    """Records its calls."""

    administers = True

    def configure(self, settings: object) -> object:
        return settings

    def cancel(self, request_id: object) -> bool:
        return request_id == "mine"


@attrs.define
class FakeCall:
    """One request."""

    params: Any = None
    npu: Any = None
    conversation: Any = attrs.Factory(RecordingConversation)
    daemon: Any = None
    streamed: list[Any] = attrs.Factory(list)

    def stream_all(self, results: Any) -> None:
        self.streamed += results

    def encode_floats(self, result: Any) -> Any:
        return result


def result_of(deferred: Deferred[Any]) -> Any:
    """The result of a Deferred that has fired."""
    seen: list[Any] = []
    deferred.addBoth(seen.append)
    return seen[0]


@pytest.mark.parametrize("method", OWN, ids=lambda method: method.name)
def test_each_method_provides_the_interface(method: Any) -> None:
    """zope.interface verifies each plugin."""
    assert verifyObject(IPlugin, method)
    assert verifyObject(IRPCMethod, method)
    if method.name.startswith("rkllm.") and method.name not in (
        "rkllm.get_constants",
        "rkllm.pause",
    ):
        assert verifyObject(IRKLLMMethod, method)
        assert method.name.partition(".")[2] == method.function.partition("_")[2]


def test_each_method_has_a_module_of_its_own() -> None:
    """Each module defines one RPC method."""
    assert len({type(method).__module__ for method in OWN}) == len(OWN)


def test_run_async_streams_what_comes_and_ends_with_the_final_result() -> None:
    """The results are passed on unchanged."""
    partials = [fake_result("a", 0), fake_result(None, 1), fake_result("ä", 0)]
    call = FakeCall([{"prompt_input": "p"}], RecordingNPU(*partials))
    final = result_of(run_async.call(call))
    assert call.streamed == partials
    assert final["_callback_state"] == 2
    assert call.npu.asked == [("rkllm_run_async", call.params, call.conversation)]


def test_run_streams_nothing_and_joins_the_text() -> None:
    """It joins the text of state 0 and skips results that wait for more bytes."""
    partials = [fake_result("a", 0), fake_result("?", 1), fake_result("ä", 0), fake_result(None, 0)]
    call = FakeCall([{"prompt_input": "p"}], RecordingNPU(*partials))
    result = result_of(run.call(call))
    assert call.streamed == []
    assert result["text"] == "aä"
    assert result["perf"]["generate_tokens"] == 4


def test_run_gives_the_arrays_that_came() -> None:
    """Hidden states and logits come with a NORMAL callback, the figures with the last."""
    hidden = fake_result(None, 0)
    floats = FloatArray(b"\0\0\x80?" * 4, (2, 2))
    hidden["last_hidden_layer"] = {"hidden_states": floats, "embd_size": 2, "num_tokens": 2}
    result = result_of(run.call(FakeCall([{}], RecordingNPU(hidden, fake_result("", 0)))))
    assert result["last_hidden_layer"]["hidden_states"] == floats
    assert result["logits"]["logits"] is None


def test_run_without_text_is_an_empty_text() -> None:
    """The text is "", not null."""
    assert JoinedResult().finish(fake_result(None, 2))["text"] == ""


def test_run_that_ends_in_error_is_refused_by_the_runtime() -> None:
    """A run that ends in state 3 is answered with an error object."""
    npu = RecordingNPU(fake_result("so far", 0), final=fake_result(None, 3))
    failure = result_of(run.call(FakeCall([{}], npu)))
    assert failure.check(RuntimeRefused)
    assert failure.value.data == {"function": "rkllm_run", "status_code": -1}


def test_run_joins_each_row_of_a_batch() -> None:
    """With n_batch > 1 a callback brings a result per row, and the last brings one."""

    def partial(*texts: str) -> dict[str, Any]:
        rows = [{**fake_result(text, 0), "token_id": -1 if text == "" else 7} for text in texts]
        for row in rows:
            del row["_callback_state"]
        return {**fake_result(texts[0], 0), "results": rows}

    npu = RecordingNPU(partial("a", "x"), partial("b", "y"), partial("c", ""))
    result = result_of(run.call(FakeCall([{}], npu)))
    assert result["text"] == "abc"
    assert [row["text"] for row in result["results"]] == ["abc", "xy"]
    assert all("_callback_state" not in row for row in result["results"])


def test_run_works_on_a_release_without_logits() -> None:
    """1.1.x results have no such member."""
    partial = fake_result("a", 0)
    del partial["logits"], partial["perf"]
    final = {**partial, "text": None, "_callback_state": 2}
    result = result_of(run.call(FakeCall([{}], RecordingNPU(partial, final=final))))
    assert result["text"] == "a"


def test_cancel_says_whether_there_was_such_a_request() -> None:
    """A client can cancel only its own requests."""
    assert cancel.call(FakeCall(CancelParams("mine"))) == {"cancelled": True}
    assert cancel.call(FakeCall(CancelParams(7))) == {"cancelled": False}


def test_configure_sets_only_what_was_given() -> None:
    """Settings that the request omits keep their values."""
    assert configure.call(FakeCall(ConfigureParams(floats="base64"))) == {"floats": "base64"}


@pytest.mark.parametrize("method", [run, run_async])
@pytest.mark.parametrize("form", [dict, list])
def test_a_run_that_writes_a_file_is_for_administrators(method: Any, form: type) -> None:
    """The file may be given by position or by name; null means no file."""
    saving = {"prompt_cache_params": {"save_prompt_cache": 1, "prompt_cache_path": "x"}}

    def call(administers: bool, infer: dict[str, Any]) -> Any:
        npu = RecordingNPU()
        made = FakeCall({"rkllm_input": {}, "rkllm_infer_params": infer}, npu)
        if form is list:
            made.params = list(made.params.values())
        made.conversation.administers = administers
        method.call(made)
        return npu.asked

    assert call(True, saving)
    assert call(False, {"prompt_cache_params": None})
    with pytest.raises(NotAllowed) as caught:
        call(False, saving)
    assert caught.value.data == {"parameter": "rkllm_infer_params.prompt_cache_params"}
