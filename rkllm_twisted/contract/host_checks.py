"""Checks of the library in the program in C that the daemon calls it with."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rkllm_twisted.abi.image import image_of
from rkllm_twisted.abi.layouts import CData
from rkllm_twisted.abi.prepare import PreparedCall, inputs_for
from rkllm_twisted.abi.result_copy import CallbackCopy
from rkllm_twisted.contract.raw_library import QUESTION, RawLibrary
from rkllm_twisted.contract.run_checks import LOGITS
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged
from rkllm_twisted.isolation.c_host import c_host_problem
from rkllm_twisted.isolation.config import ChildConfig
from rkllm_twisted.isolation.frames import CallFrame, ReturnFrame
from rkllm_twisted.isolation.host_reader import HostReader, one_by_one
from rkllm_twisted.runtime.local_caller import callback_argument
from rkllm_twisted.values import RunState

#: Seconds; the model is loaded in this time.
HOST_TIMEOUT_S = 300.0
#: What a callback returns to have the arrays released (rkllm.h 1.3.0).
RELEASE_ARRAYS = 2


class HostProcess:
    """A host in C with the library open.

    :param connection: to it.
    :param process: itself.
    """

    def __init__(
        self, library: RawLibrary, connection: socket.socket, process: subprocess.Popen[bytes]
    ) -> None:
        self._library = library
        self._connection = connection
        self._process = process
        self._reader = HostReader(ChildConfig("", library.release).offsets.size)
        self._number = 0

    def call(self, prepared: PreparedCall, **slots: CData) -> tuple[int, list[CallbackCopy]]:
        """Make a call; return its status and its callbacks.

        :raises EOFError: the host has ended.
        """
        layout, function = self._library.layout, prepared.function
        null = layout.callbacks["LLMResultCallback"]()
        own: Mapping[str, Any] = {"handle": None, "callback": callback_argument(layout, null)}
        given = {**own, **prepared.arguments, **slots}
        values = [given[parameter.name] for parameter in function.parameters]
        image = image_of(layout, function, values, prepared.alive)
        self._number += 1
        userdata: int = slots.get("userdata", 0)
        rows = int("userdata" in slots)
        frame = CallFrame(self._number, function.name, image, rows=rows, userdata=userdata)
        for part in frame.encode():
            self._connection.sendall(part)
        return self._until_return()

    def _until_return(self) -> tuple[int, list[CallbackCopy]]:
        copies: list[CallbackCopy] = []
        while True:
            data = self._connection.recv(1 << 20)
            if not data:
                raise EOFError(f"its process ended with {self._process.wait(5)}")
            for one in one_by_one(self._reader.feed(data)):
                if isinstance(one, ReturnFrame):
                    return one.status, copies
                copies.append(one)


@contextmanager
def host_of(library: RawLibrary) -> Iterator[HostProcess]:
    """Start a host, and end it."""
    config = ChildConfig(library.path, library.release, host="c")
    ours, theirs = socket.socketpair()
    with ours, theirs, Path(os.devnull).open("wb") as beats:
        ours.settimeout(HOST_TIMEOUT_S)
        places = (theirs.fileno(), beats.fileno())

        def place() -> None:
            # Copies first: one of the two may have the number of the other's place.
            for copy, number in zip([os.dup(each) for each in places], (3, 4), strict=True):
                os.dup2(copy, number)

        command = config.command()
        # No other thread of this process runs Python now.
        process = subprocess.Popen(command, pass_fds=(3, 4), preexec_fn=place)  # noqa: PLW1509
        theirs.close()
        try:
            yield HostProcess(library, ours, process)
        finally:
            process.kill()
            process.wait()


def works_without_python(library: RawLibrary) -> Verdict:
    """The same answer comes in the program in C."""
    if (problem := c_host_problem()) is not None:
        raise NotTestable(f"The program in C {problem}.")
    library.load()
    here = library.run()
    library.destroy()
    init = library.prepare("rkllm_init", {"param": {"model_path": library.model, "top_k": 1}})
    params = {"rkllm_input": {"prompt_input": QUESTION}, "rkllm_infer_params": {}}
    run = library.prepare("rkllm_run", params)
    for partial in run.partials:
        for name in partial.left_out:
            setattr(partial.structure, name, getattr(library.init_param, name))
    try:
        with host_of(library) as host:
            loaded, _ = host.call(init)
            status, copies = host.call(run, rkllm_input=inputs_for(run, 1), userdata=1)
    except (EOFError, TimeoutError, ConnectionError) as error:
        return judged(False, f"In the program in C: {error}.")
    rows = (row for one in copies if one.state == RunState.NORMAL for row in one.rows)
    text = b"".join(row.text or b"" for row in rows)
    holds = loaded == status == 0 and text == here.text
    return judged(
        holds,
        f"rkllm_init returned {loaded}, rkllm_run {status}; the answer has {len(text)} bytes,"
        f" here {len(here.text)}.",
    )


def releases_arrays(library: RawLibrary) -> Verdict:
    """A callback that returns 2 for logits leaves the next runs as they are."""
    if not library.layout.release.keeps_arrays:
        raise NotTestable(f"Release {library.release} keeps no arrays.")
    library.load()
    library.callback_returns = RELEASE_ARRAYS
    runs = [library.run(mode=LOGITS) for _ in range(3)]
    library.callback_returns = 0
    runs.append(library.run(mode=LOGITS))
    brought = [sum(one.has_arrays for one in run.callbacks) for run in runs]
    holds = all(run.status == 0 for run in runs) and min(brought) > 0 and len(set(brought)) == 1
    statuses = " ".join(str(run.status) for run in runs)
    return judged(holds, f"Four runs returned {statuses}, with {brought} callbacks with logits.")
