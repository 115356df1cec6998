"""``--llama`` chooses the libllama of the daemon's runtime, and more options its devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recording_library import compile_c
from twisted.python.usage import UsageError

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
    for name in ("LIBRARY", "DEVICES", "GPU_LAYERS"):
        monkeypatch.setenv(f"RKLLM_LLAMA_{name}", "")


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A libllama with the devices CPU and NPU0, which loads no model."""
    runtime = Path(__file__).parents[2] / "cpu_runtime"
    path = tmp_path_factory.mktemp("stub") / "libllama.so"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-DSTUB_KINDS", f"-I{runtime / 'src'}"]
    compile_c([*flags, "-fPIC", "-shared", "-o", str(path), str(runtime / "tests/stub_llama.c")])
    return str(path)


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


def test_devices_and_layers_are_set_for_this_process_and_its_children(
    tmp_path: Path, stub: str
) -> None:
    """The runtime's process inherits them."""
    chosen = ("--llama-devices", "NPU0, CPU", "--llama-gpu-layers", "7")
    makeService(options_for(tmp_path, "--llama", stub, *chosen))
    assert os.environ["RKLLM_LLAMA_DEVICES"] == "NPU0,CPU"
    assert os.environ["RKLLM_LLAMA_GPU_LAYERS"] == "7"


def test_a_device_that_is_missing_is_named_before_anything_listens(
    tmp_path: Path, stub: str
) -> None:
    """The error names the devices that there are."""
    words = "There is no device NPU7 in this llama.cpp: --llama-devices may name CPU,NPU0."
    with pytest.raises(LibraryError, match=words):
        makeService(options_for(tmp_path, "--llama", stub, "--llama-devices", "NPU7"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--llama-devices", "CPU,,NPU0"], "names of devices with commas between them, or none"),
        (["--llama-gpu-layers", "-1"], "--llama-gpu-layers must be a whole number from 0"),
        (["--library", "cpu", "--llama-gpu-layers", "1"], "gpu-layers needs --library llama"),
    ],
)
def test_devices_and_layers_that_cannot_be_are_refused(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """Each is one sentence about the option."""
    with pytest.raises(UsageError, match=words):
        options_for(tmp_path, *arguments)
