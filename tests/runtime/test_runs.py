"""The results of a run's callbacks, and callbacks that are wrong or late."""

from __future__ import annotations

import ctypes
import gc
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from recording_library import Recorder

from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.runtime import runtime as module
from rkllm_twisted.runtime.runtime import Runtime, open_runtime
from rkllm_twisted.values import FloatArray, RunState

Call = Callable[..., Mapping[str, Any]]
INPUT = [{"prompt_input": "hi"}]


@pytest.fixture
def play(recorder: Recorder, layout: Layout) -> Callable[..., None]:
    """A function that sets the results of the next runs."""
    return lambda *results: recorder.play(layout, *results)


@pytest.fixture
def run(loaded: Call, play: Callable[..., None]) -> Callable[..., list[dict[str, Any]]]:
    """A function that plays results and returns the calls of on_result."""

    def run(*results: tuple[int, dict[str, Any]]) -> list[dict[str, Any]]:
        play(*results)
        seen: list[dict[str, Any]] = []
        loaded("rkllm_run", INPUT, seen.append)
        return seen

    return run


def test_each_callback_becomes_a_result(run: Any, release: Release) -> None:
    """The results have all fields and the state, in order."""
    seen = run(
        (RunState.NORMAL, {"text": b"Hel", "token_id": 5}),
        (RunState.NORMAL, {"text": b"lo"}),
        (RunState.FINISH, {}),
    )
    names = [member.name for member in release.structs["RKLLMResult"].members]
    assert [list(result) for result in seen] == [[*names, "_callback_state"]] * 3
    assert [result["text"] for result in seen] == ["Hel", "lo", None]
    assert [result["_callback_state"] for result in seen] == [
        RunState.NORMAL,
        RunState.NORMAL,
        RunState.FINISH,
    ]
    assert seen[0]["token_id"] == 5


def test_a_character_that_is_split(run: Any) -> None:
    """The text has the whole character, whether or not the runtime waits for it."""
    euro = "€".encode()
    seen = run(
        (RunState.WAITING, {"text": euro[:2]}),
        (RunState.NORMAL, {"text": euro}),
        (RunState.FINISH, {}),
    )
    assert [result["text"] for result in seen] == ["", "€", None]
    seen = run(
        (RunState.NORMAL, {"text": b"a" + euro[:1]}),
        (RunState.NORMAL, {"text": euro[1:]}),
        (RunState.FINISH, {}),
    )
    assert [result["text"] for result in seen] == ["a", "€", None]


def test_half_a_character_does_not_reach_the_next_run(run: Any) -> None:
    """Each run decodes its own text."""
    seen = run((RunState.NORMAL, {"text": "€".encode()[:2]}))
    assert [result["text"] for result in seen] == [""]
    assert run((RunState.NORMAL, {"text": b"a"}))[0]["text"] == "a"


def test_a_finish_without_a_result(run: Any) -> None:
    """C may give NULL: the result then has the fields, and nothing in them."""
    (seen,) = run((-1, {}))
    assert (seen["text"], seen["_callback_state"]) == (None, RunState.FINISH)


def test_other_states_are_passed_on(run: Any) -> None:
    """1.1.x gives hidden states with state 4; the number stays what C says."""
    assert run((4, {"text": b"x"}), (RunState.ERROR, {}))[0]["_callback_state"] == 4


def test_perf_comes_as_it_is(loaded_with: Any) -> None:
    """The figures of RKLLMPerfStat, floats in their short form."""
    layout = layout_of(releases()["1.3.0"])
    call, recorder = loaded_with(layout.release)
    recorder.play(layout, (RunState.FINISH, {"perf": (10.1, 3, 0.9, 7, 64.5)}))
    seen: list[dict[str, Any]] = []
    call("rkllm_run", INPUT, seen.append)
    assert seen[0]["perf"] == {
        "prefill_time_ms": 10.1,
        "prefill_tokens": 3,
        "generate_time_ms": 0.9,
        "generate_tokens": 7,
        "memory_usage_mb": 64.5,
    }


def test_hidden_states_are_copied(run: Any, layout: Layout) -> None:
    """The result owns the arrays, which have rows and columns."""
    numbers = (ctypes.c_float * 4)(1, 2, 3, 4)
    hidden = layout.structs["RKLLMResultLastHiddenLayer"](numbers, 2, 2)
    (seen,) = run((RunState.NORMAL, {"last_hidden_layer": hidden}))
    numbers[0] = 99
    assert seen["last_hidden_layer"] == {
        "hidden_states": FloatArray(struct.pack("<4f", 1, 2, 3, 4), (2, 2)),
        "embd_size": 2,
        "num_tokens": 2,
    }


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_several_answers_at_once(abi: str, batched: Any) -> None:
    """With n_batch > 1 a callback has a result for each row; the last one has one result."""
    layout = layout_of(releases()[abi])
    call, recorder = batched(layout.release, 2)
    euro = "€".encode()
    recorder.play(
        layout,
        (RunState.NORMAL, {"text": b"a", "token_id": 1}),
        (RunState.NORMAL, {"text": euro[:2], "token_id": 2}),
        (RunState.NORMAL, {"text": euro[2:], "token_id": 3}),
    )
    seen: list[dict[str, Any]] = []
    recorder.native.recorder_play(recorder._results, recorder._states, 2)
    call("rkllm_run", INPUT, seen.append)
    # Two callbacks, each with a pointer to its own result and the next one.
    assert [[row["text"] for row in result["results"]] for result in seen] == [["a", ""], ["", "€"]]
    assert seen[0]["results"][1]["token_id"] == 2
    assert (seen[0]["text"], seen[0]["_callback_state"]) == ("a", RunState.NORMAL)
    recorder.play(layout, (RunState.FINISH, {"text": b"end"}))
    seen.clear()
    call("rkllm_run", INPUT, seen.append)
    assert [result["text"] for result in seen] == ["end"]
    assert "results" not in seen[0]


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_an_input_for_each_row(abi: str, batched: Any) -> None:
    """C reads n_batch inputs: those of a list, or the same one for every row."""
    call, recorder = batched(releases()[abi], 3)
    call("rkllm_run", [[{"prompt_input": text} for text in "abc"]])
    assert [row["prompt_input"] for row in recorder.last()["rows"]] == ["a", "b", "c"]
    call("rkllm_run", INPUT)
    assert [row["prompt_input"] for row in recorder.last()["rows"]] == ["hi", "hi", "hi"]
    for inputs in ([], INPUT * 2, INPUT * 4):
        with pytest.raises(InvalidParams, match=rf"has {len(inputs)} inputs, .* n_batch is 3"):
            call("rkllm_run", [inputs])
    with pytest.raises(InvalidParams, match=r"^rkllm_input\[1\]\.prompt_input: is missing"):
        call("rkllm_run", [[*INPUT, {}, *INPUT]])


def test_a_list_of_one_input(loaded: Call, recorder: Recorder) -> None:
    """A model that computes one answer takes a list of one, too."""
    loaded("rkllm_run", [INPUT])
    assert recorder.last()["rkllm_input"]["prompt_input"] == "hi"
    with pytest.raises(InvalidParams, match="has 2 inputs, but the model's n_batch is 1"):
        loaded("rkllm_run", [INPUT * 2])


def test_a_failing_listener(loaded: Call, play: Callable[..., None], recorder: Recorder) -> None:
    """The run is aborted, and the call raises the listener's exception after C returns."""
    play(
        (RunState.NORMAL, {"text": b"a"}), (RunState.NORMAL, {"text": b"b"}), (RunState.FINISH, {})
    )
    seen: list[Any] = []

    def listen(result: Any) -> None:
        seen.append(result)
        raise ValueError("a mistake in a listener")

    with pytest.raises(ValueError, match="a mistake in a listener"):
        loaded("rkllm_run", INPUT, listen)
    assert len(seen) == 1
    assert recorder.last()["function"] == "rkllm_abort"
    play((RunState.NORMAL, {"text": b"fine"}))
    loaded("rkllm_run", INPUT, seen.append)
    assert seen[-1]["text"] == "fine"


def test_what_c_gives_wrongly_ends_the_run(run: Any, layout: Layout) -> None:
    """A garbage count raises an error after the run."""
    numbers = (ctypes.c_float * 1)()
    hidden = layout.structs["RKLLMResultLastHiddenLayer"](numbers, 2**31 - 1, 2**31 - 1)
    with pytest.raises(RuntimeRefused, match="hidden_states"):
        run((RunState.NORMAL, {"last_hidden_layer": hidden}))


def test_a_run_that_is_refused(loaded: Call, recorder: Recorder) -> None:
    """The status is in the error, and the next run is fine."""
    recorder.native.recorder_status(-1)
    with pytest.raises(RuntimeRefused, match="rkllm_run returned -1; check that the prompt fits"):
        loaded("rkllm_run", INPUT)
    recorder.native.recorder_status(0)
    assert loaded("rkllm_run", INPUT)["success"]


def test_callbacks_after_the_run_reach_nobody(
    loaded: Call, play: Callable[..., None], recorder: Recorder
) -> None:
    """Late callbacks are dropped after the run and during the next one."""
    play((RunState.NORMAL, {"text": b"a"}))
    seen: list[Any] = []
    loaded("rkllm_run", INPUT, seen.append)
    number = recorder.last()["userdata"]
    recorder.native.recorder_stray(number)
    late: list[Any] = []

    def listen(result: Any) -> None:
        late.append(result)
        recorder.native.recorder_stray(number)
        recorder.native.recorder_stray(0)

    loaded("rkllm_run", INPUT, listen)
    assert (len(seen), len(late)) == (1, 1)
    assert recorder.last()["userdata"] == number + 1


def test_a_run_without_a_listener(loaded: Call, play: Callable[..., None]) -> None:
    """on_result is optional."""
    play((RunState.NORMAL, {"text": b"a"}), (RunState.FINISH, {}))
    assert loaded("rkllm_run", INPUT) == {"success": True, "status_code": 0}


@pytest.fixture
def native(recording_libraries: Callable[[Release], Path], model_file: str, tmp_path: Path) -> Any:
    """A runtime that uses C's own rkllm_run_async, and its recorder."""
    library = recording_libraries(releases()["1.3.0"])
    recorder = Recorder(ctypes.CDLL(str(library)), tmp_path / "recorded")
    runtime = open_runtime(str(library), None, {}, native_async=True)
    runtime.perform(runtime.prepare("rkllm_init", [{"model_path": model_file}]))
    yield runtime, recorder
    recorder.reset()
    runtime.close()


def test_native_async_waits_for_the_last_result(native: tuple[Runtime, Recorder]) -> None:
    """With C's own rkllm_run_async the call ends with FINISH."""
    runtime, recorder = native
    recorder.play(
        layout_of(releases()["1.3.0"]), (RunState.NORMAL, {"text": b"a"}), (RunState.FINISH, {})
    )
    seen: list[Any] = []
    outputs = runtime.perform(runtime.prepare("rkllm_run_async", INPUT), seen.extend)
    assert outputs == {"success": True, "status_code": 0}
    assert recorder.last()["function"] == "rkllm_run_async"
    assert [result["_callback_state"] for result in seen] == [RunState.NORMAL, RunState.FINISH]


def test_native_async_without_a_last_result(
    native: tuple[Runtime, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some modes give no last result: is_running then tells the end of the run."""
    monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.01)
    runtime, recorder = native
    recorder.play(layout_of(releases()["1.3.0"]), (RunState.NORMAL, {"text": b"a"}))
    seen: list[Any] = []
    assert runtime.perform(runtime.prepare("rkllm_run_async", INPUT), seen.extend)["success"]
    assert len(seen) == 1


def test_native_async_aborted_before_the_first_result(
    native: tuple[Runtime, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An abort ends the wait, although nothing ever came."""
    monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.01)
    runtime, recorder = native
    prepared = runtime.prepare("rkllm_run_async", INPUT)
    outputs: list[Any] = []
    thread = threading.Thread(target=lambda: outputs.append(runtime.perform(prepared)))
    thread.start()
    until = time.monotonic() + 10
    while recorder.last()["function"] != "rkllm_run_async" and time.monotonic() < until:
        thread.join(0.01)
    runtime.abort()
    thread.join(10)
    assert outputs == [{"success": True, "status_code": 0}]


def test_native_async_that_is_refused(native: tuple[Runtime, Recorder]) -> None:
    """A status other than 0 ends the call at once."""
    runtime, recorder = native
    recorder.native.recorder_status(-1)
    with pytest.raises(RuntimeRefused, match="rkllm_run_async returned -1"):
        runtime.perform(runtime.prepare("rkllm_run_async", INPUT))


def test_the_trampoline_outlives_its_runtime(
    recording_libraries: Callable[[Release], Path], model_file: str, tmp_path: Path
) -> None:
    """A callback after the runtime's deletion still finds its trampoline."""
    layout = layout_of(releases()["1.2.1"])
    library = recording_libraries(layout.release)
    recorder = Recorder(ctypes.CDLL(str(library)), tmp_path / "recorded")
    runtime = open_runtime(str(library), None, {})
    runtime.perform(runtime.prepare("rkllm_init", [{"model_path": model_file}]))
    recorder.play(layout, (RunState.NORMAL, {"text": b"late"}))
    runtime.close()
    del runtime
    gc.collect()
    recorder.native.recorder_stray(1)
    recorder.reset()
