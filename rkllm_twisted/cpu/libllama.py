"""Finds libllama, llama.cpp's library, which the engine ``llama`` opens at run time.

Nothing of llama.cpp is in this package. What is found here is passed to the C library in
``$RKLLM_LLAMA_LIBRARY``; where nothing is, it asks the loader for libllama.so.
"""

from __future__ import annotations

import ctypes.util
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from rkllm_twisted.errors import LibraryError

#: What the C library reads.
VARIABLE = "RKLLM_LLAMA_LIBRARY"
#: Where llama.cpp computes, as the C library reads it: names of devices, and a number of layers.
DEVICES, GPU_LAYERS = "RKLLM_LLAMA_DEVICES", "RKLLM_LLAMA_GPU_LAYERS"
#: For all users of a machine, where `rkllm llama install --to` or a package may put it.
SYSTEM = (Path("/usr/local/lib/rkllm-llama"), Path("/usr/lib/rkllm-llama"))


def user_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of one user where `rkllm llama install` puts the library."""
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or Path.home()) / ".local/share"
    return Path(data) / "rkllm-llama"


def find_in(folder: Path) -> Path | None:
    """Find libllama among the files of a folder: libllama.so, else one with a release's name."""
    named = [path for path in folder.glob("libllama.*") if ".so" in path.name]
    return min(named, key=lambda path: (path.name != "libllama.so", path.name), default=None)


def locate(named: str | None, environ: Mapping[str, str]) -> Path | None:
    """Find the file that is to be opened; ``None`` leaves it to the loader.

    :param named: a file or a folder, as a person named it.
    :raises LibraryError: it is not there.
    """
    if not named:
        folders = (user_folder(environ), *SYSTEM)
        return next(filter(None, map(find_in, folders)), None)
    path = Path(named).absolute()
    found = find_in(path) if path.is_dir() else path
    if found is None:
        raise LibraryError(f"There is no libllama.so in {path}: name the file with --llama PATH.")
    if not found.is_file():
        raise LibraryError(f"There is no {path}: name llama.cpp's libllama.so with --llama PATH.")
    return found


def find(environ: Mapping[str, str]) -> str | None:
    """Return the libllama that would be opened: a path, or a name that the loader knows.

    :raises LibraryError: see :func:`locate`.
    """
    found = locate(environ.get(VARIABLE), environ)
    return ctypes.util.find_library("llama") if found is None else str(found)


def choose(named: str | None, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the file to open, for the C library and for processes that are started later.

    :raises LibraryError: see :func:`locate`.
    """
    found = locate(named, environ)
    if found is not None:
        environ[VARIABLE] = str(found)


def place(
    devices: str | None, gpu_layers: int | None, environ: MutableMapping[str, str] = os.environ
) -> None:
    """Set where llama.cpp computes, for the C library and processes that are started later.

    :param devices: names with commas between them, or ``none``; ``None``: as it is.
    :param gpu_layers: how many layers of a model the devices get; ``None``: as it is.
    """
    if devices is not None:
        environ[DEVICES] = devices
    if gpu_layers is not None:
        environ[GPU_LAYERS] = str(gpu_layers)
