"""Start what answers with a real model: the daemon, and llama.cpp's own server."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from benchmarks.processes import accepts, twistd, wait_for
from rkllm_twisted.blocking import Client

PEER = Path(__file__).with_name("peers") / "with_xllamacpp.py"
NO_PEER = "llama.cpp's server comes with the package xllamacpp: pip install xllamacpp."


@contextmanager
def daemon(
    model: Path, library: str, threads: int, *options: str, **param: Any
) -> Iterator[tuple[Client, int]]:
    """Start a daemon and load a model; return a client and the daemon's process id.

    :param threads: the threads that compute.
    :param options: further options of ``twistd rkllm``.
    :param param: fields of RKLLMParam.
    """
    with tempfile.TemporaryDirectory(prefix="rkllm-model-") as directory:
        path = Path(directory) / "rkllm.sock"
        environment = {**os.environ, "RKLLM_CPU_THREADS": str(threads)}
        command = twistd(path, "process", f"--library={library}", *options)
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            try:
                wait_for(lambda: accepts(path))
                with Client(str(path)) as client:
                    client.init(model, **param)
                    yield client, process.pid
            finally:
                process.terminate()


@attrs.frozen
class Peer:
    """llama.cpp's server.

    :param address: host and port of its HTTP interface.
    :param pid: its process id.
    :param build: what its build can use of the processor.
    """

    address: str
    pid: int
    build: str


@contextmanager
def llama_server(
    model: Path, threads: int, context: int, *kept: int, python: str = sys.executable
) -> Iterator[Peer]:
    """Start llama.cpp's server with a model.

    :param context: the tokens that all its slots have room for.
    :param kept: how many slots, and how many MiB of the slots' earlier states it keeps in memory.
        What is left out is as llama.cpp has it by default.
    :param python: an interpreter that has xllamacpp.
    """
    command = [python, str(PEER), str(model), *map(str, (threads, context, *kept))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            address, build = (process.stdout.readline().strip() for _ in range(2))
            yield Peer(address.removeprefix("http://"), process.pid, build)
        finally:
            process.kill()


def has_peer(python: str) -> bool:
    """Tell whether an interpreter has xllamacpp. Another one than this is believed to have it."""
    return python != sys.executable or importlib.util.find_spec("xllamacpp") is not None
