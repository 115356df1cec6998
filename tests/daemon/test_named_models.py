"""Models by name, looked up in threads."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from model_folders import GGUF, put
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from rkllm_twisted.abi.release import releases
from rkllm_twisted.daemon.named_models import IModels, NamedModels
from rkllm_twisted.errors import InvalidParams, LibraryError
from rkllm_twisted.models import file_cache
from rkllm_twisted.testing import fake_encoder
from rkllm_twisted.values import NPUStatus, RuntimeVersion
from rkllm_twisted.vision_interfaces import EncoderFacts, EncoderLoad


class NPU:
    """An NPU that reports the loaded model and the runtime."""

    def __init__(self, model_path: str | None = None, backend: str = "cpu (tiny)") -> None:
        self._model_path = model_path
        self._backend = backend
        self.release = releases()["1.3.0"]

    def status(self) -> NPUStatus:
        return NPUStatus("loaded", self._model_path, 0, 0, 0)

    def version(self) -> RuntimeVersion:
        return RuntimeVersion("/lib.so", "1.3.0", "1.3.0", "its text", self._backend)


def named_models(root: Path, npu: NPU | None = None, on: Any = None) -> NamedModels:
    return NamedModels([os.fspath(root)], npu or NPU(), on or Clock())  # type: ignore[arg-type]


def result(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    (value,) = found
    return value


def test_it_provides_the_interface(tmp_path: Path) -> None:
    verifyObject(IModels, named_models(tmp_path))


def test_a_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LibraryError):
        named_models(tmp_path / "none")


def test_the_loaded_model_is_known_by_its_file_whatever_path_it_was_loaded_by(
    tmp_path: Path,
) -> None:
    root = tmp_path / "models"
    put(root, "m.gguf", "other.gguf")
    link = tmp_path / "link"
    link.symlink_to(root / "m.gguf")
    listing = result(named_models(root, NPU(str(link))).listing())
    assert [model["name"] for model in listing["models"] if model["loaded"]] == ["m"]


def test_a_loaded_model_whose_file_is_gone_is_none_of_them(tmp_path: Path) -> None:
    put(tmp_path, "m.gguf")
    listing = result(named_models(tmp_path, NPU("/gone")).listing())
    assert not listing["models"][0]["loaded"]


def test_what_the_runtime_loads_depends_on_the_runtime(tmp_path: Path) -> None:
    put(tmp_path, "m.gguf")
    problems = [
        result(named_models(tmp_path, NPU(backend=backend)).show("m", False))["problems"]
        for backend in ("cpu (tiny, scripted)", "llama (llama.cpp 0.5.0), scripted", "npu")
    ]
    assert problems[:2] == [[], []]
    assert "does not read" in problems[2][0]


def test_all_that_is_known_is_shown(tmp_path: Path) -> None:
    path = put(tmp_path, "m.gguf")
    os.utime(path, (0, 0))
    shown = result(named_models(tmp_path).show("m", True))
    assert shown["digest"] == hashlib.sha256(GGUF).hexdigest()
    assert shown["modified"] == "1970-01-01T00:00:00Z"
    assert (shown["architecture"], shown["parameters"]) == ("llama", 32)
    assert (shown["format"], shown["quantization"], shown["context"]) == ("gguf", "F32", 2048)
    assert shown["param"] == {"model_path": str(path)}


def test_the_marks_of_a_gap_are_shown(tmp_path: Path) -> None:
    put(tmp_path, "Qwen2.5-Coder.gguf")
    shown = result(named_models(tmp_path).show("Qwen2.5-Coder", False))
    marks = {"prefix": "<|fim_prefix|>", "suffix": "<|fim_suffix|>", "middle": "<|fim_middle|>"}
    assert shown["infill"] == marks


def test_the_loaded_model_reads_images_if_an_encoder_that_fits_is_loaded(tmp_path: Path) -> None:
    path = put(tmp_path, "qwen2-vl.gguf")
    loaded: list[EncoderFacts | None] = [None, fake_encoder(EncoderLoad("/e.rknn"))]
    npu: Any = NPU(str(path))
    models = NamedModels([os.fspath(tmp_path)], npu, Clock(), lambda: loaded.pop(0))  # type: ignore[arg-type]
    listing, shown = result(models.listing()), result(models.show("qwen2-vl", False))
    assert listing["models"][0]["capabilities"] == ["completion"]
    assert shown["capabilities"] == ["completion", "vision"]


def test_an_unknown_name_fails_the_deferred(tmp_path: Path) -> None:
    assert result(named_models(tmp_path).show("m", False)).check(InvalidParams)


@pytest_twisted.ensureDeferred
async def test_the_directories_are_read_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "m.gguf")
    threads: list[threading.Thread] = []
    kind = file_cache.file_kind

    def note(*args: Any) -> Any:
        threads.append(threading.current_thread())
        return kind(*args)

    monkeypatch.setattr(file_cache, "file_kind", note)
    await named_models(tmp_path, on=reactor).listing()
    assert threads != []
    assert threading.main_thread() not in threads


@pytest_twisted.ensureDeferred
async def test_cancelling_ends_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with put(tmp_path, "m.gguf").open("r+b") as file:
        file.truncate(1 << 40)  # a sparse file: reading it would take many minutes
    monkeypatch.setattr(file_cache, "DIGEST_CHUNK_BYTES", 1 << 12)
    begun, ended = threading.Event(), Deferred[None]()
    digest = file_cache.FileCache.digest

    def watched(self: Any, file: Any, is_cancelled: Any) -> str:
        begun.set()
        try:
            return digest(self, file, is_cancelled)
        finally:
            reactor.callFromThread(ended.callback, None)  # type: ignore[attr-defined]

    monkeypatch.setattr(file_cache.FileCache, "digest", watched)
    shown = named_models(tmp_path, on=reactor).show("m", True)
    assert begun.wait(30)
    shown.cancel()
    with pytest.raises(CancelledError):
        await shown
    await ended
