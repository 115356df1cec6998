"""The library is found and opened, or one sentence gives the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from recording_library import compile_c

from rkllm_twisted import cpu
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.errors import LibraryError
from rkllm_twisted.runtime.library import open_file
from rkllm_twisted.runtime.probe import probe

OPTIONS = r"--library PATH.*--library cpu"


def elf(machine: int, order: int = 1) -> bytes:
    """The first bytes of a shared library for a machine (elf.h)."""
    number = machine.to_bytes(2, "little" if order == 1 else "big")
    return b"\x7fELF\x02" + bytes([order]) + bytes(10) + b"\x03\0" + number + bytes(44)


def test_a_path(library: Path) -> None:
    """A path is taken as it is, and made absolute."""
    opened = open_file(
        os.path.relpath(library), None, {"RKLLM_LIBRARY": "/nonexistent"}, releases()
    )
    assert opened.path.is_absolute()
    assert opened.path.samefile(library)
    assert opened.backend == "npu"


def test_the_environment(library: Path) -> None:
    """$RKLLM_LIBRARY names the library if the option is missing."""
    assert open_file(None, None, {"RKLLM_LIBRARY": str(library)}, releases()).path == library


def test_nothing_is_found() -> None:
    """The error names both options; the embedded runtime is not used instead."""
    with pytest.raises(LibraryError, match=f"no librkllmrt.so on the loader's path.*{OPTIONS}"):
        open_file(None, None, {}, releases())
    with pytest.raises(LibraryError, match=f"no librkllmrt.so on the loader's path.*{OPTIONS}"):
        open_file(None, None, {"RKLLM_LIBRARY": ""}, releases())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"#!/bin/sh\n", "is no shared library"),
        (b"", "is no shared library"),
        (b"\x7fELF", "is no shared library"),
        (elf(40), "is made for armv7l, but this is "),
        (elf(8, 2), "is made for mips, but this is "),
        (elf(4000), "is made for machine type 4000, but this is "),
    ],
)
def test_files_that_cannot_be_loaded(content: bytes, what: str, tmp_path: Path) -> None:
    """The header says what is wrong with a file before the loader has to."""
    path = tmp_path / "librkllmrt.so"
    path.write_bytes(content)
    with pytest.raises(LibraryError, match=f"{what}.*{OPTIONS}"):
        open_file(str(path), None, {}, releases())


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    """The error names the path and the reason."""
    with pytest.raises(LibraryError, match=f"There is no library .*missing.so; .*{OPTIONS}"):
        open_file(str(tmp_path / "missing.so"), None, {}, releases())
    with pytest.raises(LibraryError, match=f"cannot be read: Is a directory; .*{OPTIONS}"):
        open_file(str(tmp_path), None, {}, releases())


def test_a_damaged_library(library: Path, tmp_path: Path) -> None:
    """The error for a truncated file includes the loader's message."""
    path = tmp_path / "half.so"
    path.write_bytes(library.read_bytes()[:100])
    with pytest.raises(LibraryError, match=r"half\.so cannot be loaded: "):
        open_file(str(path), None, {}, releases())


def test_a_missing_dependency(tmp_path: Path) -> None:
    """The library that is missing beside it is named, as the loader does."""
    for name, source in (("inner", "int inner(void) { return 1; }"), ("outer", "int outer;")):
        (tmp_path / f"{name}.c").write_text(source)
    options = ["-shared", "-fPIC", f"-L{tmp_path}"]
    compile_c([*options, str(tmp_path / "inner.c"), "-o", str(tmp_path / "libinner.so")])
    linked = ["-Wl,--no-as-needed", "-linner", "-o", str(tmp_path / "outer.so")]
    compile_c([*options, str(tmp_path / "outer.c"), *linked])
    (tmp_path / "libinner.so").unlink()
    with pytest.raises(LibraryError, match=r"cannot be loaded: libinner\.so: "):
        open_file(str(tmp_path / "outer.so"), None, {}, releases())


def test_another_library(tmp_path: Path) -> None:
    """A library that is not RKLLM's is told by what it does not export."""
    (tmp_path / "other.c").write_text("int other;")
    compile_c(["-shared", "-fPIC", str(tmp_path / "other.c"), "-o", str(tmp_path / "other.so")])
    with pytest.raises(LibraryError, match="does not export rkllm_init: it is not Rockchip's"):
        open_file(str(tmp_path / "other.so"), None, {}, releases())


def test_the_loaders_path(recording_libraries: Callable[[Release], Path], tmp_path: Path) -> None:
    """The loader finds librkllmrt.so where it finds libraries, and says which file it took."""
    target = tmp_path / "librkllmrt.so"
    target.write_bytes(recording_libraries(releases()["1.3.0"]).read_bytes())
    program = (
        "from rkllm_twisted.runtime.runtime import open_runtime;"
        "print(open_runtime(None, None, {}).version.library)"
    )
    # The loader reads its variable once, when a process starts.
    environ = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(target)


@pytest.mark.parametrize(
    ("abi", "layout"), [(None, "1.3.0"), ("1.1.0", "1.1.4"), ("1.2.3", "1.2.1"), ("1.3.0", "1.3.0")]
)
def test_the_embedded_library_of_a_layout(abi: str | None, layout: str) -> None:
    """``cpu`` takes the embedded library with the layout asked for, else the newest."""
    opened = open_file("cpu", abi, {}, releases())
    assert opened.path == cpu.library_path(layout)
    assert opened.backend.startswith("cpu")


def test_the_embedded_library_by_environment() -> None:
    """$RKLLM_LIBRARY may ask for it, too."""
    assert open_file(None, None, {"RKLLM_LIBRARY": "cpu"}, releases()).backend.startswith("cpu")


def test_the_engine_llama_names_the_libllama_that_is_missing(tmp_path: Path) -> None:
    """The error names the file of $RKLLM_LLAMA_LIBRARY."""
    missing = {"RKLLM_LLAMA_LIBRARY": str(tmp_path / "libllama.so")}
    with pytest.raises(LibraryError, match=r"There is no .*/libllama.so: name llama.cpp's"):
        probe("llama", None, missing)


def test_the_engine_llama_refuses_what_is_no_libllama(tmp_path: Path) -> None:
    """The error names the missing function."""
    path, source = tmp_path / "libllama.so", tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    compile_c(["-shared", "-o", str(path), str(source)])
    with pytest.raises(LibraryError, match=r"libllama.so lacks llama_backend_init: .* b8179"):
        probe("llama", None, {"RKLLM_LLAMA_LIBRARY": str(path)})


def test_a_libllama_that_dies_when_it_is_opened_costs_nothing(tmp_path: Path) -> None:
    """Another process opens it first."""
    path, source = tmp_path / "libllama.so", tmp_path / "dies.c"
    source.write_text("__attribute__((constructor)) static void die(void) { __builtin_trap(); }\n")
    compile_c(["-shared", "-fPIC", "-o", str(path), str(source)])
    with pytest.raises(LibraryError, match=r"The library llama crashes while it is opened"):
        probe("llama", None, {"RKLLM_LLAMA_LIBRARY": str(path)})


def test_embedded_engines_say_what_they_cannot_do() -> None:
    """A real library says nothing of the kind."""
    limits = open_file("cpu", None, {}, releases()).limits
    assert limits == {"tiny": ["batch", "cross_attention", "video"], "scripted": ["video"]}


def test_an_embedded_library_that_was_not_built() -> None:
    """The error says what is needed to build it."""
    with pytest.raises(
        LibraryError, match=r"librkllm-cpu-9\.so is not installed: install a C comp"
    ):
        cpu.library_path("9")


def test_the_demonstration_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is beside the embedded library; if it is missing, the error says to reinstall."""
    monkeypatch.setattr(cpu, "_HERE", tmp_path)
    with pytest.raises(LibraryError, match=r"tiny-pydocs-q8_0\.gguf is not installed: reinstall"):
        cpu.demo_model()
    (tmp_path / "tiny-pydocs-q8_0.gguf").write_bytes(b"GGUF")
    assert cpu.demo_model().parent == tmp_path
