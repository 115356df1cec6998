"""server.sequence over the real queue and a fake runtime, in steps that the test makes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from rkllm_twisted.errors import (
    Busy,
    InvalidParams,
    NoModel,
    NotAllowed,
    RPCError,
    RuntimeRefused,
    TimedOut,
)
from rkllm_twisted.methods import _sequence
from rkllm_twisted.methods.sequence import Params, sequence
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.npu.timeouts import Timeouts
from rkllm_twisted.rpc.parameters import convert_params
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.testing import Answer, End, FakeRuntime, PacedThread, StepThread
from rkllm_twisted.values import FloatArray, Peer

ROWS = FloatArray(b"\0\0\x80?" * 4, (2, 2))
HIDDEN = {"last_hidden_layer": {"hidden_states": ROWS, "embd_size": 2, "num_tokens": 2}}
ANSWERS = {
    "fails": Answer("so far", then=End.ERROR),
    "refused": RuntimeRefused("It does not work.", {"function": "rkllm_run"}),
    "hidden": Answer((HIDDEN,)),
    "on": Answer("on ", endless=True),
}
ANNA = Peer(1, 10, 1000, 100, (100,))
CLEAR = {"method": "rkllm.clear_kv_cache", "params": [0]}
SAVING = {"prompt_cache_params": {"save_prompt_cache": 1, "prompt_cache_path": "x"}}


def run(text: str, **infer: object) -> dict[str, object]:
    """Return a call that is a run."""
    return {"method": "rkllm.run", "params": [{"prompt_input": text}, infer or None]}


@attrs.define(eq=False)
class Conversation:
    """A client's connection."""

    administers: bool = True
    peer: Peer = ANNA


@attrs.define
class FakeCall:
    """One request."""

    params: object
    npu: ThreadNPU
    conversation: Conversation
    streamed: list[Any] = attrs.Factory(list)
    methods: Any = attrs.Factory(find_methods)

    def stream_all(self, results: Any) -> None:
        self.streamed += results

    def encode_floats(self, result: Any) -> Any:
        return result


class Rig:
    """An NPU that has loaded a model."""

    def __init__(self, thread: StepThread | None = None) -> None:
        self.thread = StepThread() if thread is None else thread
        pace = thread.pace if isinstance(thread, PacedThread) else lambda: None
        self.runtime = FakeRuntime(ANSWERS, pace)
        self.runtime.load("m")
        self.npu = ThreadNPU(self.runtime, self.thread.in_thread, self.thread.from_thread)
        self.conversation = Conversation()
        self.streamed: list[Any] = []

    def begin(self, calls: list[Any], **params: object) -> Deferred[Any]:
        """Send a request."""
        given = convert_params(Params, {"calls": calls, **params})
        call = FakeCall(given, self.npu, self.conversation, self.streamed)
        made: Any = sequence.call(call)  # type: ignore[arg-type]
        return made  # type: ignore[no-any-return]

    def ask(self, calls: list[Any], **params: object) -> Any:
        """Send a request; return its result."""
        answers: list[Any] = []
        self.begin(calls, **params).addBoth(answers.append)
        self.thread.run()
        if hasattr(answers[0], "raiseException"):
            answers[0].raiseException()
        return answers[0]["results"]

    def error_of(self, calls: list[Any]) -> RPCError:
        """Send a request; return its error."""
        with pytest.raises(RPCError) as caught:
            self.ask(calls)
        return caught.value


@pytest.fixture
def rig() -> Rig:
    """Make an NPU with a model."""
    return Rig()


def test_the_results_come_in_order(rig: Rig) -> None:
    """Each is the one that its method returns; a run's has all the text."""
    cleared, first, sizes, second = rig.ask(
        [CLEAR, run("a"), {"method": "rkllm.get_kv_cache_size"}, run("b")]
    )
    assert cleared == {"success": True, "status_code": 0}
    assert sizes == {"success": True, "status_code": 0, "cache_sizes": [0]}
    assert [first["text"], second["text"]] == ["Hello world"] * 2


def test_partial_results_say_which_call_they_belong_to(rig: Rig) -> None:
    """They are those of a stream."""
    rig.ask([CLEAR, run("a"), run("b")])
    assert [(part["_call_index"], part["text"]) for part in rig.streamed] == [
        (1, "Hello"),
        (1, " world"),
        (2, "Hello"),
        (2, " world"),
    ]
    assert {part["_callback_state"] for part in rig.streamed} == {0}


def test_a_client_may_do_without_partial_results(rig: Rig) -> None:
    """The tokens are counted all the same."""
    assert rig.ask([run("a")], stream=False)[0]["text"] == "Hello world"
    assert rig.streamed == []
    assert rig.npu.status().tokens == 2


def test_all_calls_are_one_turn(rig: Rig) -> None:
    """A client that has waited longer than the second call comes after the last one."""
    order: list[str] = []
    rig.begin([run("a"), run("b")]).addCallback(lambda _: order.append("sequence"))
    other = rig.npu.call("rkllm_get_kv_cache_size", None, "other")
    other.addCallback(lambda _: order.append("other"))
    rig.thread.run()
    assert order == ["sequence", "other"]
    assert rig.runtime.performed == ["rkllm_run", "rkllm_run", "rkllm_get_kv_cache_size"]


@pytest.mark.parametrize(
    ("failing", "kind", "sentence"),
    [
        (run("refused"), RuntimeRefused, "It does not work."),
        (run("fails"), RuntimeRefused, "The run ended in an error; the runtime's log lines"),
        ({"method": "rkllm.destroy"}, NoModel, "No model is loaded"),
    ],
)
def test_the_first_failure_ends_it(
    rig: Rig, failing: Any, kind: type[RPCError], sentence: str
) -> None:
    """The error names the call and has the results so far; what follows is not made."""
    before = [run("a"), {"method": "rkllm.destroy"}] if kind is NoModel else [run("a")]
    error = rig.error_of([*before, failing, CLEAR])
    assert type(error) is kind
    index, method = len(before), failing["method"]
    assert error.message.startswith(f"calls[{index}] ({method}): {sentence}")
    data: Any = error.data
    assert (data["call_index"], data["method"]) == (index, method)
    assert len(data["results"]) == len(before)
    assert data["results"][0]["text"] == "Hello world"
    assert "rkllm_clear_kv_cache" not in rig.runtime.performed


@pytest.mark.parametrize(
    ("wrong", "message", "parameter"),
    [
        (
            {"method": "rkllm.run", "params": {"rkllm_input": {"prompt_input": 7}}},
            "calls[1].params.rkllm_input.prompt_input: must be a string, not a number.",
            "calls[1].params.rkllm_input.prompt_input",
        ),
        (
            {"method": "rkllm.run", "params": {"colour": 1}},
            "calls[1].params: There is no parameter colour;",
            "calls[1].params.colour",
        ),
        (
            {"method": "rkllm.destroy", "params": [None, 1]},
            "calls[1].params: There are 2 parameters, at most 1",
            "calls[1].params",
        ),
        (
            {"method": "rkllm.run_async"},
            "calls[1].method: 'rkllm.run_async' cannot be in a sequence; use rkllm.run",
            "calls[1].method",
        ),
        (
            {"method": "server.ping"},
            "calls[1].method: 'server.ping' cannot be in a sequence; possible are rkllm.clear",
            "calls[1].method",
        ),
        ({"method": "rkllm.destroy", "parms": []}, "calls[1]: Object contains unknown", "calls"),
        ({"params": []}, "calls[1]: Object missing required field `method`", "calls"),
        (7, "calls[1]: Expected `object`", "calls"),
    ],
)
def test_every_call_is_checked_before_the_first_is_made(
    rig: Rig, wrong: Any, message: str, parameter: str
) -> None:
    """The message says where the fault is."""
    error = rig.error_of([run("a"), wrong])
    assert type(error) is InvalidParams
    assert error.message.startswith(message)
    assert error.data is not None
    assert error.data["parameter"] == parameter
    assert rig.runtime.performed == []


def test_a_wrong_call_is_refused_without_a_turn(rig: Rig) -> None:
    """The client gets the error while another client's run is under way."""
    rig.begin([run("a")])
    with pytest.raises(InvalidParams, match="must be a string"):
        rig.begin([{"method": "rkllm.run", "params": [{"prompt_input": 7}]}])
    assert rig.npu.status().queue_length == 0
    rig.thread.run()


@pytest.mark.parametrize("number", [0, 101])
def test_the_number_of_calls_is_limited(rig: Rig, number: int) -> None:
    """As that of a batch is."""
    error = rig.error_of([CLEAR] * number)
    assert error.message == f"calls: takes 1 to 100 calls, not {number}."
    assert rig.ask([CLEAR] * 100)


@pytest.mark.parametrize(
    ("call", "sentence", "names"),
    [
        (CLEAR, "rkllm.clear_kv_cache is for this daemon's administrators", {}),
        (
            run("a", **SAVING),
            "Saving a prompt cache is for this daemon's administrators",
            {"parameter": "calls[1].params.rkllm_infer_params.prompt_cache_params"},
        ),
    ],
)
def test_what_is_for_administrators_stays_theirs(
    rig: Rig, call: Any, sentence: str, names: dict[str, str]
) -> None:
    """No call is made then."""
    rig.conversation.administers = False
    error = rig.error_of([run("a"), call])
    assert type(error) is NotAllowed
    assert error.message.startswith(f"calls[1] ({call['method']}): {sentence}")
    assert error.data is not None
    assert names.items() <= error.data.items()
    assert rig.runtime.performed == []
    assert rig.ask([run("a")])


def test_every_function_that_waits_for_a_turn_may_be_in_a_sequence(rig: Rig) -> None:
    """What streams or does not wait for a turn may not; the message has the list."""
    message = rig.error_of([{"method": "server.ping"}]).message
    assert message.endswith(
        "possible are rkllm.clear_kv_cache, rkllm.createDefaultParam, rkllm.destroy,"
        " rkllm.get_kv_cache_size, rkllm.init, rkllm.load_lora, rkllm.load_prompt_cache,"
        " rkllm.release_prompt_cache, rkllm.run, rkllm.set_chat_template,"
        " rkllm.set_cross_attn_params, rkllm.set_function_tools."
    )


def test_a_cancelled_sequence_makes_no_further_call(rig: Rig) -> None:
    """Its caller has its answer at once; the next turn is whole."""
    failed: list[Any] = []
    begun = rig.begin([run("a"), run("b")])
    begun.addErrback(failed.append)
    begun.cancel()
    rig.thread.run()
    assert failed[0].check(CancelledError)
    assert rig.runtime.performed == []
    assert rig.ask([run("a")])[0]["text"] == "Hello world"


def test_an_abort_ends_the_run_under_way_and_not_the_sequence() -> None:
    """rkllm.abort is what it is in C; the calls after that run are made."""
    rig, answers = Rig(PacedThread()), list[Any]()
    rig.begin([run("on"), run("a")]).addBoth(answers.append)
    while not rig.streamed:
        rig.thread.go()
        while rig.thread.calls:
            rig.thread.deliver()
    rig.npu.abort()
    rig.thread.run()
    aborted, whole = answers[0]["results"]
    assert (aborted["_callback_state"], aborted["_finish_reason"]) == (2, "cancelled")
    assert (whole["text"], whole.get("_finish_reason")) == ("Hello world", None)


def test_a_timeout_names_the_call_under_way() -> None:
    """Each call has the timeouts of its own."""
    rig, clock = Rig(PacedThread()), Clock()
    rig.npu.set_timeouts(clock, Timeouts(first_token=5.0))
    failed: list[Any] = []
    rig.begin([CLEAR, run("a"), run("b")]).addErrback(failed.append)
    while rig.runtime.performed.count("rkllm_run") < 2:
        rig.thread.go()
        clock.advance(1.0)
        while rig.thread.calls:
            rig.thread.deliver()
    clock.advance(5.0)
    assert failed[0].check(TimedOut)
    error = failed[0].value
    assert error.message.startswith("calls[2] (rkllm.run): rkllm_run took longer than 5 s;")
    assert [each.get("text") for each in error.data["results"]] == [None, "Hello world"]
    rig.thread.run()


def test_an_error_before_the_turn_names_no_call(rig: Rig) -> None:
    """It concerns all calls alike."""
    rig.npu.close()
    error = rig.error_of([run("a")])
    assert error.message == "The daemon is shutting down."


def test_the_arrays_of_one_sequence_are_limited(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call begins only while the results so far have less than the limit."""
    monkeypatch.setattr(_sequence, "MAX_ARRAY_BYTES", 2 * len(ROWS.data))
    results = rig.ask([run("hidden"), run("hidden")])
    assert [each["last_hidden_layer"]["hidden_states"] for each in results] == [ROWS, ROWS]
    error = rig.error_of([run("hidden"), run("hidden"), run("a")])
    assert type(error) is Busy
    assert error.message.startswith("calls[2] (rkllm.run): The results so far have more than 32")
    assert error.data is not None
    assert error.data["results"] == results
