"""Runtime, the object that owns the handle, in each state and for each status of C."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from recording_library import Recorder
from zope.interface.verify import verifyObject

from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidParams, NoModel, NotInRelease, RuntimeRefused
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.runtime.runtime import Runtime, open_runtime

Call = Callable[..., Mapping[str, Any]]
SUCCESS = {"success": True, "status_code": 0}


def functions(recorder: Recorder) -> list[str]:
    """The functions that reached C, oldest first."""
    return [call["function"] for call in recorder.calls()]


def test_it_provides_the_interface(runtime: Runtime) -> None:
    """Runtime is what IRuntime says."""
    assert verifyObject(IRuntime, runtime)


def test_its_version(runtime: Runtime, release: Release, library: Path) -> None:
    """The version names the library, the layout, and how it was recognised."""
    version = runtime.version
    assert (version.library, version.version) == (str(library), None)
    assert (version.abi, version.backend) == (release.name, "npu")
    assert version.recognised_by


def test_loading_and_destroying(call: Call, runtime: Runtime, model_file: str) -> None:
    """A handle is there from init to destroy."""
    assert (runtime.loaded, runtime.model_path) == (False, None)
    assert call("rkllm_init", [{"model_path": model_file}]) == SUCCESS
    assert (runtime.loaded, runtime.model_path) == (True, model_file)
    assert call("rkllm_destroy") == SUCCESS
    assert (runtime.loaded, runtime.model_path) == (False, None)


def test_a_second_init_destroys_the_first_model(
    loaded: Call, recorder: Recorder, model_file: str
) -> None:
    """There is at most one model, so the first goes before the second comes."""
    loaded("rkllm_init", [{"model_path": model_file}])
    assert functions(recorder) == ["rkllm_init", "rkllm_destroy", "rkllm_init"]


def test_an_init_that_fails(call: Call, recorder: Recorder, model_file: str) -> None:
    """The error says what to check, and there is no model."""
    recorder.native.recorder_status(-1)
    with pytest.raises(RuntimeRefused, match="max_context_len is within the model's limit") as info:
        call("rkllm_init", [{"model_path": model_file}])
    assert info.value.data == {"function": "rkllm_init", "status_code": -1}
    with pytest.raises(NoModel):
        call("rkllm_destroy")


def test_an_init_that_gives_no_handle(call: Call, recorder: Recorder, model_file: str) -> None:
    """Status 0 with a NULL handle is a refusal: it happens when the NPU's memory is short."""
    recorder.native.recorder_null_handle(1)
    with pytest.raises(RuntimeRefused, match="returned 0 but no handle") as info:
        call("rkllm_init", [{"model_path": model_file}])
    assert info.value.data == {"function": "rkllm_init", "status_code": 0}


def test_a_destroy_that_fails(loaded: Call, runtime: Runtime, recorder: Recorder) -> None:
    """The handle is dropped anyway, since it may be invalid."""
    recorder.native.recorder_status(-1)
    with pytest.raises(RuntimeRefused, match="rkllm_destroy returned -1"):
        loaded("rkllm_destroy")
    assert not runtime.loaded


@pytest.mark.parametrize(
    ("function", "params"),
    [
        ("rkllm_run", [{"prompt_input": "hi"}]),
        ("rkllm_run_async", [{"prompt_input": "hi"}]),
        ("rkllm_destroy", None),
        ("rkllm_abort", None),
        ("rkllm_is_running", None),
        ("rkllm_release_prompt_cache", None),
    ],
)
def test_without_a_model(call: Call, recorder: Recorder, function: str, params: Any) -> None:
    """Calls that need a handle do not reach C without one."""
    with pytest.raises(NoModel, match="load one with rkllm.init"):
        call(function, params)
    assert recorder.calls() == []


def test_a_status_is_passed_on(loaded: Call, recorder: Recorder, model_file: str) -> None:
    """The error has the status and the function."""
    recorder.native.recorder_status(-7)
    adapter = {"lora_adapter_path": model_file, "lora_adapter_name": "a", "scale": 1}
    with pytest.raises(RuntimeRefused, match="rkllm_load_lora returned -7") as info:
        loaded("rkllm_load_lora", [adapter])
    assert info.value.data == {"function": "rkllm_load_lora", "status_code": -7}


def test_abort_and_is_running(loaded: Call, runtime: Runtime, recorder: Recorder) -> None:
    """They may be called directly or performed; only 1 means running."""
    assert runtime.abort() == loaded("rkllm_abort") == SUCCESS
    assert runtime.is_running() is False
    assert loaded("rkllm_is_running") == {**SUCCESS, "is_running": False}
    seen: list[bool] = []
    runtime_is_running = lambda _: seen.append(runtime.is_running())  # noqa: E731 - a callback
    recorder.play(runtime._layout, (0, {"text": b"x"}), (2, {}))
    loaded("rkllm_run", [{"prompt_input": "hi"}], runtime_is_running)
    assert seen == [True, True]


def test_without_a_handle_nothing_runs(runtime: Runtime) -> None:
    """is_running needs no model; abort does."""
    assert runtime.is_running() is False
    with pytest.raises(NoModel):
        runtime.abort()


def test_create_default_param(call: Call, release: Release) -> None:
    """The RKLLMParam itself, with the fields of the release."""
    param = call("rkllm_createDefaultParam")
    assert list(param) == [member.name for member in release.structs["RKLLMParam"].members]
    assert (param["top_p"], param["repeat_penalty"]) == (0.9, 1.1)
    assert param["model_path"] is None


def test_functions_of_other_releases(runtime: Runtime) -> None:
    """A function that the release lacks is refused, with the releases that have it."""
    if runtime.version.abi in {"1.1.4", "1.2.0"}:
        with pytest.raises(NotInRelease, match=r"it needs 1\.2\.1 or later") as refused:
            runtime.prepare("rkllm_get_kv_cache_size", None)
        data = refused.value.data or {}
        assert data["function"] == "rkllm_get_kv_cache_size"
        assert data["releases"][:4] == ["1.2.1", "1.2.2", "1.2.3", "1.3.0"]
    with pytest.raises(NotInRelease, match="no known release has it"):
        runtime.prepare("rkllm_no_such_thing", None)


def test_preparing_calls_nothing(runtime: Runtime, recorder: Recorder, model_file: str) -> None:
    """prepare is pure: C sees nothing until perform."""
    runtime.prepare("rkllm_init", [{"model_path": model_file}])
    runtime.prepare("rkllm_run", [{"prompt_input": "hi"}])
    assert recorder.calls() == []


def test_close(loaded: Call, runtime: Runtime, recorder: Recorder, model_file: str) -> None:
    """close destroys the model once; later calls raise NoModel."""
    runtime.close()
    runtime.close()
    assert functions(recorder) == ["rkllm_init", "rkllm_destroy"]
    for function, params in (("rkllm_init", [{"model_path": model_file}]), ("rkllm_abort", None)):
        with pytest.raises(NoModel, match="closed"):
            loaded(function, params)
    assert runtime.is_running() is False


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "unreadable"])
def test_files_are_looked_at_first(
    call: Call, recorder: Recorder, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is no regular, readable file does not reach C, which might hang or exit."""
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "unreadable":
        path.write_bytes(b"")
        # To root everything is readable.
        monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InvalidParams, match=r"^param\.model_path: .*" + kind) as refused:
        call("rkllm_init", [{"model_path": str(path)}])
    assert refused.value.data == {"parameter": "param.model_path"}
    assert recorder.calls() == []


def test_a_gguf_file_for_a_vendors_library_costs_no_model(
    runtime: Runtime, loaded: Call, recorder: Recorder, model_file: str
) -> None:
    """The sentence names the file's kind and what to do; the loaded model stays."""
    with pytest.raises(InvalidParams, match=r"is a GGUF .*--library cpu or --library") as refused:
        loaded("rkllm_init", [{"model_path": str(demo_model())}])
    assert refused.value.data == {"parameter": "param.model_path", "kind": "gguf"}
    assert functions(recorder) == ["rkllm_init"], "no rkllm_destroy"
    assert runtime.model_path == model_file


def test_a_cache_that_a_run_saves_need_not_exist(
    loaded: Call, recorder: Recorder, tmp_path: Path
) -> None:
    """Something other than a file in its place is refused."""
    cache = {"save_prompt_cache": 1, "prompt_cache_path": str(tmp_path / "new.bin")}
    loaded("rkllm_run", [{"prompt_input": "hi"}, {"prompt_cache_params": cache}])
    cache["prompt_cache_path"] = str(tmp_path)
    with pytest.raises(InvalidParams, match=r"prompt_cache_params\.prompt_cache_path: .* regular"):
        loaded("rkllm_run", [{"prompt_input": "hi"}, {"prompt_cache_params": cache}])
    assert functions(recorder) == ["rkllm_init", "rkllm_run"]


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_the_kv_cache_has_a_size_for_each_row(abi: str, batched: Callable[..., Any]) -> None:
    """The number of sizes is the model's n_batch."""
    call, _ = batched(releases()[abi], 3)
    assert call("rkllm_get_kv_cache_size") == {**SUCCESS, "cache_sizes": [100, 101, 102]}


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_ranges_of_the_kv_cache(abi: str, batched: Callable[..., Any]) -> None:
    """Both ends for each row, or neither."""
    call, recorder = batched(releases()[abi], 2)
    call("rkllm_clear_kv_cache", [0, [1, 2], [3, 4]])
    assert (recorder.last()["start_pos"], recorder.last()["end_pos"]) == ([1, 2], [3, 4])
    call("rkllm_clear_kv_cache", [0, None, None])
    assert (recorder.last()["start_pos"], recorder.last()["end_pos"]) == (None, None)
    with pytest.raises(
        InvalidParams, match="start_pos: has 1 elements, but the model's n_batch is 2"
    ):
        call("rkllm_clear_kv_cache", [0, [1], [3]])
    for params in ([0, [1, 2], None], [0, None, [1, 2]], [0, [1, 2], [3]], [0, [], []]):
        with pytest.raises(InvalidParams, match="start_pos: "):
            call("rkllm_clear_kv_cache", params)


def test_the_default_environment_is_the_process(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open_runtime looks at the environment of the process."""
    monkeypatch.setenv("RKLLM_LIBRARY", str(library))
    assert open_runtime(None, None).version.library == str(library)
