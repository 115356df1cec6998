"""Checks a model's file before the loaded model is unloaded for it.

The runtime answers -1 to a file that is no model, and has then lost the model before. The file
itself shows what is wrong: see :mod:`rkllm_twisted.formats.file_kind`.
"""

from __future__ import annotations

import os

from rkllm_twisted.abi.prepare import PreparedCall
from rkllm_twisted.abi.scalars import clip
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.formats.architectures import other_than_decoder
from rkllm_twisted.formats.file_kind import FileKind, file_kind
from rkllm_twisted.formats.gguf import GGUFHeader

#: Kinds that another backend loads: (kind, is it an NPU?) -> what to do.
OTHERS = {
    ("gguf", True): "librkllmrt loads .rkllm files only; convert the model with rkllm-toolkit, or"
    " start the daemon with --library cpu or --library llama",
    ("rkllm", False): "only librkllmrt on an NPU loads it; give a GGUF file here",
}

#: The types of weights that the engine ``tiny`` reads (cpu_runtime/src/tiny/tensor.c).
_TINY_TYPES = (None, "F32", "F16", "Q8_0")
_REAL = "only, start the daemon with --library llama"


def check_model_file(prepared: PreparedCall, backend: str) -> None:
    """Check that the file of an rkllm_init may be a model.

    :param prepared: its files have been checked, see :class:`rkllm_twisted.runtime.files.Files`.
    :param backend: see :class:`~rkllm_twisted.values.RuntimeVersion`.
    :raises InvalidParams: it is none that this runtime loads; ``data`` has its kind.
    """
    file = next((each for each in prepared.files if each.path.endswith("model_path")), None)
    if file is None:
        return
    try:
        kind = _kind_of(prepared.arguments["param"].model_path)
    except OSError as error:
        raise InvalidParams(
            f"{file.path}: {clip(file.name)}: {error.strerror}.", {"parameter": file.path}
        ) from None
    problem = kind.problem or _other(kind, backend) or _beyond(kind, backend)
    if problem is not None:
        raise InvalidParams(
            f"{file.path}: {clip(file.name)} {problem}. No model was unloaded.",
            {"parameter": file.path, "kind": kind.name},
        )


def _kind_of(path: bytes) -> FileKind:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return file_kind(lambda offset, length: os.pread(fd, length, offset), os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _other(kind: FileKind, backend: str) -> str | None:
    remedy = OTHERS.get((kind.name, backend == "npu"))
    return remedy and f"is {kind.words}; {remedy}"


def _beyond(kind: FileKind, backend: str) -> str | None:
    """Return why the embedded runtime does not run a GGUF model; None if it may."""
    if kind.header is None:
        return None
    what = other_than_decoder(kind.header)
    if what is not None:
        return f"is {what}; the embedded runtime runs plain decoders that generate text"
    return _beyond_tiny(kind.header) if backend.startswith("cpu") else None


def _beyond_tiny(header: GGUFHeader) -> str | None:
    """Why the bundled engine does not run a GGUF model that llama.cpp may run."""
    architecture, quantization = header.architecture, header.quantization
    if architecture not in (None, "llama"):
        is_what = f"is a model of the architecture {clip(str(architecture))}"
        return f"{is_what}; --library cpu reads llama {_REAL}"
    if quantization not in _TINY_TYPES:
        return f"is quantised as {quantization}; --library cpu reads F32, F16 and Q8_0 {_REAL}"
    return None
