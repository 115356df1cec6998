"""The daemon when it has no descriptors left."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from daemons import Daemon
from many_clients import child_of, run_params, status_of, wait_until

Start = Callable[..., Daemon]
Script = Callable[[str], Path]


def test_a_child_that_cannot_be_started_is_tried_again(start: Start, script: Script) -> None:
    """Status and errors give the reason, nothing leaks, and rkllm.init works later."""
    daemon = start()
    model = script('run\ntoken "a"\nfinish\n')
    daemon.load(model)
    descriptors = Path(f"/proc/{daemon.process.pid}/fd")

    def opened() -> set[int]:
        return {int(path.name) for path in descriptors.iterdir()}

    with daemon.connect() as client:
        status_of(client)
        before = opened()
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        low = (max(before) + 1, limits[1])
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, low)
        os.kill(child_of(daemon), signal.SIGKILL)
        wait_until(lambda: status_of(client)["state"] == "failed")
        problem = "could not be started: Too many open files"
        assert status_of(client)["problem"] == problem
        error = client.ask("rkllm.run", run_params())["error"]
        assert error["code"] in (-32001, -32004)
        assert problem in error["message"]
        assert len(opened()) < len(before)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)
        assert client.ask("rkllm.init", [{"model_path": str(model)}])["result"]["success"]
        assert client.ask("rkllm.run", run_params())["result"]["text"] == "a"
        assert len(opened()) == len(before)
    assert "AssertionError" not in daemon.log.read_text()


def test_a_client_beyond_the_last_descriptor_is_disconnected(start: Start) -> None:
    """It does not wait for ever, and those before it and after it are served."""
    daemon = start()
    descriptors = Path(f"/proc/{daemon.process.pid}/fd")
    limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    with daemon.connect() as client:
        status_of(client)
        # The lowest free number is the next one; there may be gaps below the greatest.
        used = {int(path.name) for path in descriptors.iterdir()}
        low = next(number for number in range(max(used) + 2) if number not in used)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (low, limits[1]))
        with daemon.connect() as one_too_many:
            assert one_too_many.eof() == b""
        assert client.ask("server.ping")["result"] == "pong"
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)
        with daemon.connect() as late:
            assert late.ask("server.ping")["result"] == "pong"
