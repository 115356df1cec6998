"""Starts a host as the daemon does, and talks to it in frames."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rkllm_twisted.abi.from_c import output_buffers
from rkllm_twisted.abi.image import CallImage, image_of
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.prepare import inputs_for, prepare
from rkllm_twisted.abi.result_copy import CallbackCopy
from rkllm_twisted.isolation.config import ChildConfig
from rkllm_twisted.isolation.frames import CallFrame, ReturnFrame
from rkllm_twisted.isolation.host_reader import HostReader, one_by_one
from rkllm_twisted.runtime.local_caller import callback_argument

HOSTS = ["c", "python"]
TIMEOUT_S = 20
#: Of a run.
USERDATA = 7
PROJECT = Path(__file__).parents[2]


class Host:
    """A host process, and its connection."""

    def __init__(self, library: Path, abi: str, name: str, **options: Any) -> None:
        config = ChildConfig(str(library), abi, host=name, **options)
        ours, theirs = socket.socketpair()
        heartbeat, beats = os.pipe()
        numbers = (theirs.fileno(), beats)
        place = 'exec "$@" 3<&{} 4>&{}'.format(*numbers)
        self.process = subprocess.Popen(
            ["bash", "-c", place, "bash", *config.command()],
            pass_fds=numbers,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        theirs.close()
        os.close(beats)
        self.heartbeat = heartbeat
        self.connection = ours
        ours.settimeout(TIMEOUT_S)
        self.size = config.offsets.size
        self._reader = HostReader(self.size)

    def send(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send bytes, and descriptors beside them."""
        if descriptors:
            sent = socket.send_fds(self.connection, [data], list(descriptors))
            data = data[sent:]
        self.connection.sendall(data)

    def receive(self) -> list[CallbackCopy | ReturnFrame]:
        """What one read brings."""
        data = self.connection.recv(1 << 20)
        assert data, "the host has ended"
        return [*one_by_one(self._reader.feed(data))]

    def until_return(self) -> list[CallbackCopy | ReturnFrame]:
        """Everything to the return of a call."""
        received: list[CallbackCopy | ReturnFrame] = []
        while not any(isinstance(one, ReturnFrame) for one in received):
            received += self.receive()
        return received

    def end(self) -> tuple[int, bytes]:
        """End it; return its exit code and what was printed."""
        self.connection.close()
        os.close(self.heartbeat)
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, output


def compiled(source: str, directory: Path) -> Path:
    """A library of ``tests/support``, for release 1.3.0."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    include, library = PROJECT / "cpu_runtime" / "include", directory / "library.so"
    flags = ["-std=c11", "-w", "-shared", "-fPIC", "-DRKLLM_ABI=10300", f"-I{include}"]
    path = PROJECT / "tests" / "support" / source
    subprocess.run([compiler, *flags, path, "-o", library], check=True)
    return library


def whole(frame: CallFrame) -> bytes:
    """The bytes of a call."""
    return b"".join(bytes(part) for part in frame.encode())


def image(
    layout: Layout,
    function: str,
    params: Any,
    descriptors: Sequence[int] = (),
    userdata: int = USERDATA,
    rows: int = 1,
) -> CallImage:
    """The image of a call, with the slots of the daemon filled.

    :param rows: of a run: how many inputs it has.
    """
    defaults = layout.structs["RKLLMParam"](max_context_len=512, max_new_tokens=64, top_k=1)
    if hasattr(defaults.extend_param, "n_batch"):
        defaults.extend_param.n_batch = 1
    call = prepare(layout, bytes(defaults), function, params)
    declared = call.function
    null = layout.callbacks["LLMResultCallback"]()
    slots: dict[str, CData] = {"userdata": userdata, "callback": callback_argument(layout, null)}
    slots |= {"handle": None, **output_buffers(layout, declared, 1), **call.arguments}
    if "rkllm_input" in slots:
        slots["rkllm_input"] = inputs_for(call, rows)
    values = [slots[parameter.name] for parameter in declared.parameters]
    return image_of(layout, declared, values, call.alive, descriptors)
