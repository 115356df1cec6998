"""The files that C opens are regular files inside the directories of the options."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from other_users import SOMEBODY, acting_as, descriptors, names_in, needs_root, open_directory

from rkllm_twisted.abi.to_c import FileParameter
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidParams, LibraryError, NotAllowed
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.openat2 import Opener, open_componentwise, opener
from rkllm_twisted.runtime.runtime import _PERFORM, Runtime, open_runtime

#: The data of an error about the parameter.
WHERE = {"parameter": "param.model_path"}
SCRIPT = '#!rkllm-script 1\nrun\n  token "Hello"\n  finish\n'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A directory with a model, and another beside it."""
    for name in ("models", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_text(SCRIPT)
    return tmp_path / "models"


@pytest.fixture(params=[opener(), open_componentwise])
def files(request: pytest.FixtureRequest, models: Path) -> Files:
    """The files below that directory, with each way to open them."""
    opener: Opener = request.param
    return Files([str(models)], opener=opener)


def parameter(name: Path | str, exists: bool = True) -> FileParameter:
    """A parameter that names a file."""
    return FileParameter("param.model_path", str(name), exists)


def outcome(files: Files, name: Path | str, exists: bool = True) -> str:
    """The check's result for a name."""
    try:
        files.check([parameter(name, exists)])
    except (InvalidParams, NotAllowed) as error:
        return f"{error.code} {error.message}" if error.data == WHERE else repr(error.data)
    return "good"


def test_a_file_inside_is_good(files: Files, models: Path) -> None:
    """The file is read, written, or overwritten."""
    assert outcome(files, models / "model") == "good"
    assert outcome(files, models / "model", exists=False) == "good"
    assert outcome(files, models / "new", exists=False) == "good"


OUTSIDE = ["elsewhere/{}", "models/../elsewhere/{}", "models-too/{}", "models/../{}"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("exists", [True, False])
def test_outside_nothing_is_told(files: Files, models: Path, name: str, exists: bool) -> None:
    """The error does not reveal whether the file exists."""
    for file in ("model", "missing", "missing/model"):
        path = f"{models.parent}/{name.format(file)}"
        assert outcome(files, path, exists) == (
            f"-32005 param.model_path: {path[:100]}{'…' * (len(path) > 100)} is not in a directory"
            f" of --model-dir ({models})."
        )


def test_a_link_that_leads_out_is_refused(files: Files, models: Path) -> None:
    """The error is NotAllowed or InvalidParams, by the way of opening."""
    (models / "link").symlink_to(models.parent / "elsewhere" / "model")
    (models / "directory").symlink_to("../elsewhere")
    assert outcome(files, models / "link").startswith(("-32005", "-32602"))
    assert outcome(files, models / "directory" / "model").startswith(("-32005", "-32602"))
    assert outcome(files, models / "directory" / "new", exists=False) != "good"


def make(kind: str, path: Path) -> None:
    """Make an entry that is no regular file."""
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))  # a long path has no room in a socket's name
    elif kind == "device":
        os.mknod(path, 0o20666, os.makedev(1, 3))


@pytest.mark.parametrize(
    "kind",
    ["missing", "directory", "fifo", "socket", pytest.param("device", marks=needs_root)],
)
@pytest.mark.parametrize("bounded", [True, False])
def test_what_is_no_file_is_refused_without_opening_it(
    files: Files, models: Path, kind: str, bounded: bool
) -> None:
    """Opening a pipe would block, and opening a device has side effects."""
    checking = files if bounded else Files()
    make(kind, models / kind)
    wanted = "No such file" if kind == "missing" else "is not a regular file"
    said = outcome(checking, models / kind)
    assert said.startswith("-32602 param.model_path: ")
    assert wanted in said
    if kind != "missing":
        assert wanted in outcome(checking, models / kind, exists=False)


@needs_root
def test_a_file_that_may_not_be_read_is_refused() -> None:
    """The rights of the daemon's user decide."""
    with open_directory() as directory:
        (directory / "model").write_text(SCRIPT)
        (directory / "model").chmod(0o600)
        bounded = Files([str(directory)])
        assert outcome(bounded, directory / "model") == "good"
        with acting_as(SOMEBODY):
            assert "Permission denied" in outcome(bounded, directory / "model")


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_what_is_written_has_a_name(files: Files, models: Path, name: str) -> None:
    """A file to write needs a name of its own."""
    assert "is the name of a directory" in outcome(files, f"{models}/{name}", exists=False)


def test_a_directory_may_be_named_by_a_link(tmp_path: Path, models: Path) -> None:
    """Files may be named through the link or the directory."""
    (tmp_path / "link").symlink_to(models)
    files = Files([str(tmp_path / "link")])
    assert outcome(files, tmp_path / "link" / "model") == "good"
    assert outcome(files, models / "model") == "good"


def test_any_of_several_directories_will_do(models: Path) -> None:
    """The directories may be nested or end with a slash."""
    files = Files([str(models / "..") + "/", str(models)])
    assert outcome(files, models / "model") == "good"
    assert outcome(files, models.parent / "elsewhere" / "model") == "good"


def test_a_relative_name_is_relative_to_where_the_daemon_runs(
    files: Files, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option does not change that."""
    monkeypatch.chdir(models)
    assert outcome(files, "model") == "good"
    assert outcome(files, "new", exists=False) == "good"
    monkeypatch.chdir(models.parent)
    assert outcome(files, "models/model") == "good"
    assert outcome(files, "elsewhere/model").startswith("-32005")


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The error occurs when the daemon starts."""
    with pytest.raises(LibraryError, match=r"--model-dir .*missing: No such file"):
        Files([str(tmp_path / "missing")])


# The files that C opens


@pytest.fixture
def notes() -> list[str]:
    """The runtime's notes."""
    return []


@pytest.fixture
def runtime(models: Path, notes: list[str]) -> Iterator[Runtime]:
    """The embedded runtime, bounded."""
    runtime = open_runtime("cpu", "1.3.0", {}, files=Files([str(models)], notes.append))
    yield runtime
    runtime.close()


def call(runtime: Runtime, function: str, *params: Any) -> Any:
    """Call a function; return a run's text."""
    results: list[Any] = []
    prepared = runtime.prepare(function, list(params))
    runtime.perform(prepared, results.extend if function == "rkllm_run" else None)
    return "".join(r["text"] or "" for r in results if r["_callback_state"] == 0)


def test_c_opens_what_was_looked_at(
    runtime: Runtime, models: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C opens the checked file even if the name changes; model_path keeps the name."""
    perform = Runtime._init

    def swap_then_perform(self: Runtime, prepared: Any) -> Any:
        (models / "model").unlink()
        (models / "model").symlink_to("../elsewhere/bad")
        return perform(self, prepared)

    (models.parent / "elsewhere" / "bad").write_text(SCRIPT.replace("Hello", "Secret"))
    monkeypatch.setitem(_PERFORM, "rkllm_init", swap_then_perform)
    call(runtime, "rkllm_init", {"model_path": str(models / "model")})
    assert call(runtime, "rkllm_run", {"prompt_input": "x"}) == "Hello"
    assert runtime.model_path == str(models / "model")
    assert notes[0].startswith(
        f"param.model_path: '{models / 'model'}' is opened as /proc/self/fd/"
    )


def test_every_kind_of_file_goes_through(runtime: Runtime, models: Path) -> None:
    """The files are a model and a prompt cache, saved and loaded; no other file remains."""
    shutil.copy(demo_model(), models / "demo.gguf")
    cache = models / "prompt.cache"
    saving = {"save_prompt_cache": 1, "prompt_cache_path": str(cache)}
    prompt = {"prompt_input": "What is a module?"}
    call(runtime, "rkllm_init", {"model_path": str(models / "demo.gguf"), "top_k": 1})
    first = call(runtime, "rkllm_run", prompt, {"prompt_cache_params": saving})
    assert first
    assert cache.stat().st_size > 1000
    assert names_in(models) == ["demo.gguf", "model", "prompt.cache"]
    call(runtime, "rkllm_load_prompt_cache", str(cache))
    assert call(runtime, "rkllm_run", prompt) == first
    for function, params in (
        ("rkllm_load_prompt_cache", (str(models.parent / "elsewhere" / "model"),)),
        ("rkllm_run", (prompt, {"prompt_cache_params": {**saving, "prompt_cache_path": "/x"}})),
    ):
        with pytest.raises(NotAllowed):
            call(runtime, function, *params)


def test_the_directory_for_prompt_caches_is_for_them_only(models: Path) -> None:
    elsewhere = models.parent / "elsewhere"
    files = Files([str(models)], cache_dir=str(elsewhere))
    for exists in (True, False):
        path = "rkllm_infer_params.prompt_cache_params.prompt_cache_path"
        files.check([FileParameter(path, str(elsewhere / "model"), exists)])
        with pytest.raises(NotAllowed):
            files.check([parameter(elsewhere / "model", exists)])


def test_descriptors_are_closed_with_the_model(runtime: Runtime, models: Path) -> None:
    """The descriptors of the calls before are closed, too."""
    before: int | None = None
    for _ in range(4):
        call(runtime, "rkllm_init", {"model_path": str(models / "model")})
        call(runtime, "rkllm_run", {"prompt_input": "x"})
        now = len(descriptors())
        assert before in (None, now)
        before = now


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("rooted", [True, False])
def test_whatever_is_wrong_with_a_path_names_the_parameter(
    tmp_path: Path, exists: bool, rooted: bool
) -> None:
    """The path is too long, a loop of links, below a file, or missing; each is a client error."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    files = Files([str(tmp_path)] if rooted else [])
    for name in ("n" * 300, "d/" * 3000 + "x", "loop/x", "file/x", "nowhere/x"):
        with pytest.raises(InvalidParams) as refused:
            files.check([FileParameter("param.path", str(tmp_path / name), exists)])
        assert refused.value.data == {"parameter": "param.path"}
        assert len(str(refused.value)) < 300
