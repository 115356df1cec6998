"""``--llama`` chooses the libllama of the daemon's runtime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recording_library import compile_c

from rkllm_twisted.daemon.assembly import makeService
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.errors import LibraryError


def options_for(tmp_path: Path, *arguments: str) -> Options:
    """Make the options of a daemon with the engine llama."""
    options = Options()
    options.parseOptions(
        ["--library", "llama", "--socket", str(tmp_path / "rkllm.sock"), *arguments]
    )
    return options


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the environment that the C library reads."""
    monkeypatch.setenv("RKLLM_LLAMA_LIBRARY", "")


def test_a_libllama_that_is_missing_is_named_before_anything_listens(tmp_path: Path) -> None:
    """The error names the option."""
    missing = str(tmp_path / "libllama.so")
    with pytest.raises(LibraryError, match=r"There is no .*libllama.so: name .* with --llama PATH"):
        makeService(options_for(tmp_path, "--llama", missing))


def test_the_file_in_a_named_folder_is_the_one_that_is_opened(tmp_path: Path) -> None:
    """The path is set for this process and its children."""
    path, source = tmp_path / "libllama.so", tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    compile_c(["-shared", "-o", str(path), str(source)])
    with pytest.raises(LibraryError, match=rf"{path} lacks llama_backend_init"):
        makeService(options_for(tmp_path, "--llama", str(tmp_path)))
    assert os.environ["RKLLM_LLAMA_LIBRARY"] == str(path)
