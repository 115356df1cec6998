"""The choice of libllama, and the error if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from rkllm_twisted.cpu import libllama
from rkllm_twisted.errors import LibraryError


def put(folder: Path, *names: str) -> Path:
    """Make a directory with files of these names."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_named_file_is_taken(tmp_path: Path) -> None:
    """The file may have any name."""
    path = put(tmp_path / "lib", "mine.so") / "mine.so"
    assert libllama.locate(str(path), {}) == path


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["libllama.so", "libllama.v0.5.0.so"], "libllama.so"),
        (["libllama-common.so", "libllama.v0.5.0.so", "libggml.so"], "libllama.v0.5.0.so"),
        (["libllama.so.0", "libllama.so.0.5"], "libllama.so.0"),
    ],
)
def test_in_a_named_folder_it_is_found(tmp_path: Path, names: list[str], taken: str) -> None:
    """Builds add the release to the name; other libraries are beside it."""
    folder = put(tmp_path / "lib", *names)
    assert libllama.locate(str(folder), {}) == folder / taken


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """The file is missing, or the directory has no libllama."""
    with pytest.raises(LibraryError, match=r"There is no .*gone.so: name llama.cpp's libllama.so"):
        libllama.locate(str(tmp_path / "gone.so"), {})
    with pytest.raises(LibraryError, match="There is no libllama.so in "):
        libllama.locate(str(put(tmp_path / "empty", "libggml.so")), {})


def test_the_users_own_comes_before_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name: first the directory of `rkllm llama install`, then the system's."""
    own = put(tmp_path / "data" / "rkllm-llama", "libllama.so")
    shared = put(tmp_path / "shared", "libllama.so")
    monkeypatch.setattr(libllama, "SYSTEM", (shared,))
    assert libllama.locate(None, {"XDG_DATA_HOME": str(own.parent)}) == own / "libllama.so"
    assert libllama.locate(None, {"HOME": str(tmp_path)}) == shared / "libllama.so"


def test_without_any_the_loader_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library gets no path then."""
    monkeypatch.setattr(libllama, "SYSTEM", ())
    environ = {"HOME": str(tmp_path)}
    libllama.choose(None, environ)
    assert environ == {"HOME": str(tmp_path)}


def test_the_choice_is_told_to_the_library(tmp_path: Path) -> None:
    """The library reads an environment variable."""
    folder = put(tmp_path / "lib", "libllama.so")
    environ: dict[str, str] = {}
    libllama.choose(str(folder), environ)
    assert environ == {"RKLLM_LLAMA_LIBRARY": str(folder / "libllama.so")}
