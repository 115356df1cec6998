"""Directories of models for tests."""

from __future__ import annotations

import os
from pathlib import Path

from gguf_files import gguf_bytes

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import release_for
from rkllm_twisted.models.catalogue import CPU_LOADS, Catalogue
from rkllm_twisted.models.directories import ModelDirectories

SCRIPT = b'#!rkllm-script 1\non default\n  token "hi"\n'
GGUF = gguf_bytes({"general.architecture": "llama", "llama.context_length": 2048})


def put(root: Path, *names: str, data: bytes | str = GGUF) -> Path:
    """Make files and their folders; return the last file."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def catalogue(*roots: Path, release: str = "1.3.0") -> Catalogue:
    """A catalogue of directories, for an embedded runtime."""
    directories = ModelDirectories([os.fspath(root) for root in roots])
    return Catalogue(directories, layout_of(release_for(release)), CPU_LOADS)
