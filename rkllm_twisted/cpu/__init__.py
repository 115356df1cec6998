"""The embedded runtime and its demonstration model, installed beside this file.

One library per layout of rkllm.h, built from ``cpu_runtime/`` when the package is installed.
"""

from __future__ import annotations

from pathlib import Path

from rkllm_twisted.errors import LibraryError

_HERE = Path(__file__).parent


def library_path(abi: str) -> Path:
    """Find the embedded runtime with a layout.

    :param abi: the layout, e.g. ``1.3.0``.
    :raises LibraryError: it was not built.
    """
    return _installed(f"librkllm-cpu-{abi}.so", "install a C compiler and reinstall rkllm-twisted")


def demo_model() -> Path:
    """Find the demonstration model, a GGUF file of less than 3 MB.

    :raises LibraryError: it was not installed.
    """
    return _installed("tiny-pydocs-q8_0.gguf", "reinstall rkllm-twisted")


def _installed(name: str, remedy: str) -> Path:
    path = _HERE / name
    if not path.is_file():
        raise LibraryError(f"The embedded runtime's {name} is not installed: {remedy}.")
    return path
