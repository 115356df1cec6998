"""Recording libraries, one for each layout, and runtimes on them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from one_by_one import one_by_one
from recording_library import Recorder, build

from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.runtime.runtime import Runtime, open_runtime

Call = Callable[..., Mapping[str, Any]]


@pytest.fixture(params=list(releases()))
def release(request: pytest.FixtureRequest) -> Release:
    """Each release that has a layout of its own."""
    return releases()[request.param]


@pytest.fixture
def layout(release: Release) -> Layout:
    """The release's layout."""
    return layout_of(release)


@pytest.fixture(scope="session")
def recording_libraries(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Release], Path]:
    """A function that gives the recording library of a release; it is compiled once."""
    built: dict[str, Path] = {}

    def library(release: Release) -> Path:
        if release.name not in built:
            built[release.name] = build(release, tmp_path_factory.mktemp("recorder"))
        return built[release.name]

    return library


@pytest.fixture
def library(recording_libraries: Callable[[Release], Path], release: Release) -> Path:
    """The path of the release's recording library."""
    return recording_libraries(release)


@pytest.fixture
def recorder(library: Path, tmp_path: Path) -> Iterator[Recorder]:
    """The recorder of the release's recording library."""
    recorder = Recorder(ctypes.CDLL(str(library)), tmp_path / "recorded")
    yield recorder
    recorder.reset()


@pytest.fixture
def model_file(tmp_path: Path) -> str:
    """The path of a file that passes for a model."""
    path = tmp_path / "model.rkllm"
    path.write_bytes(b"\xffmodel")
    return str(path)


@pytest.fixture
def runtime(library: Path, recorder: Recorder) -> Iterator[Runtime]:
    """A runtime on the recording library, without a model."""
    runtime = open_runtime(str(library), None, {})
    yield runtime
    recorder.reset()
    runtime.close()


@pytest.fixture
def call(runtime: Runtime) -> Call:
    """A function that prepares and performs a call of the runtime."""

    def call(function: str, params: Any = None, on_result: Any = None) -> Mapping[str, Any]:
        return runtime.perform(runtime.prepare(function, params), one_by_one(on_result))

    return call


@pytest.fixture
def loaded(call: Call, model_file: str) -> Call:
    """The same, with a model loaded."""
    call("rkllm_init", [{"model_path": model_file}])
    return call


@pytest.fixture
def loaded_with(
    recording_libraries: Callable[[Release], Path], tmp_path: Path, model_file: str
) -> Iterator[Callable[[Release], tuple[Call, Recorder]]]:
    """A function that loads a model into a release's recording library: its calls, its record."""
    opened: list[tuple[Runtime, Recorder]] = []

    def load(release: Release) -> tuple[Call, Recorder]:
        library = recording_libraries(release)
        recorder = Recorder(ctypes.CDLL(str(library)), tmp_path / "recorded")
        runtime = open_runtime(str(library), None, {})
        opened.append((runtime, recorder))
        runtime.perform(runtime.prepare("rkllm_init", [{"model_path": model_file}]))

        def call(function: str, params: Any = None, on_result: Any = None) -> Mapping[str, Any]:
            return runtime.perform(runtime.prepare(function, params), one_by_one(on_result))

        return call, recorder

    yield load
    for runtime, recorder in opened:
        recorder.reset()
        runtime.close()


@pytest.fixture
def batched(
    loaded_with: Callable[[Release], tuple[Call, Recorder]], model_file: str
) -> Callable[[Release, int], tuple[Call, Recorder]]:
    """The same, for a model that computes several answers at once."""

    def load(release: Release, rows: int) -> tuple[Call, Recorder]:
        call, recorder = loaded_with(release)
        recorder.native.recorder_sizes(1, rows)
        call("rkllm_init", [{"model_path": model_file, "extend_param": {"n_batch": rows}}])
        return call, recorder

    return load
