"""The embedded runtime and its demonstration model, installed beside this file.

Two libraries per layout of rkllm.h, built from ``cpu_runtime/`` when the package is installed:
``cpu`` computes by itself, ``llama`` opens a libllama (:mod:`rkllm_twisted.cpu.libllama`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rkllm_twisted.errors import LibraryError

_HERE = Path(__file__).parent


#: What ``--library`` calls the embedded runtime that computes by itself, and the one that opens
#: llama.cpp's library.
CPU, LLAMA = "cpu", "llama"


def library_path(abi: str, family: str = CPU) -> Path:
    """Find the embedded runtime with a layout.

    :param abi: the layout, e.g. ``1.3.0``.
    :param family: :data:`CPU` or :data:`LLAMA`.
    :raises LibraryError: it was not built.
    """
    remedy = "install a C compiler and reinstall rkllm-twisted"
    return _installed(_library(abi, family), remedy)


def _library(abi: str, family: str) -> Path:
    return _HERE / f"librkllm-{family}-{abi}.so"


def is_built(abi: str, family: str = CPU) -> bool:
    """True if there is an embedded runtime with a layout; see :func:`library_path`."""
    return _library(abi, family).is_file()


def newest_built(layouts: Iterable[str], family: str = CPU) -> str:
    """Return the newest layout with an embedded runtime; the newest of all if there is none.

    :param layouts: the layouts to choose from, oldest first.
    """
    every = list(layouts)
    return ([name for name in every if is_built(name, family)] or every)[-1]


def scripted_encoder() -> Path:
    """Find the library that makes up what a vision encoder says; ``cpu_runtime/src/rknn``.

    :raises LibraryError: it was not built.
    """
    remedy = "install a C compiler and reinstall rkllm-twisted"
    return _installed(_HERE / "librknn-scripted.so", remedy)


def demo_model() -> Path:
    """Find the demonstration model, a GGUF file of less than 3 MB.

    :raises LibraryError: it was not installed.
    """
    return _installed(_HERE / "tiny-pydocs-q8_0.gguf", "reinstall rkllm-twisted")


def _installed(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise LibraryError(f"The embedded runtime's {path.name} is not installed: {remedy}.")
    return path
