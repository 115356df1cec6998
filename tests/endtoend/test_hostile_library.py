"""A library that writes to the daemon's descriptors costs its own call, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Daemon, RawClient
from many_clients import child_of, ends, run_params, status_of, wait_until

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with the hostile library."""
    directory = tmp_path_factory.mktemp("hostile")
    library = directory / "hostile.so"
    source = PROJECT / "tests" / "support" / "hostile.c"
    include = PROJECT / "cpu_runtime" / "include"
    command = ["cc", "-std=c11", "-shared", "-fPIC", "-DRKLLM_ABI=10300", f"-I{include}"]
    subprocess.run([*command, "-w", str(source), "-o", str(library)], check=True)
    daemon = Daemon(directory, f"--library={library}")
    yield daemon
    daemon.stop()
    assert "Traceback" not in daemon.log.read_text(), daemon.log.read_text()


@pytest.fixture
def load(tmp_path: Path) -> Callable[[RawClient], None]:
    """Load a model."""
    model = tmp_path / "model.rkllm"
    model.write_bytes(bytes(range(256)) * 16)

    def load_with(client: RawClient) -> None:
        answer = client.ask("rkllm.init", [{"model_path": str(model)}])
        assert "result" in answer, answer

    return load_with


def request(method: str, params: object) -> dict[str, object]:
    """A request as JSON values."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.fixture
def client(daemon: Daemon, load: Callable[[RawClient], None]) -> Iterator[RawClient]:
    """A client of a daemon that has a model loaded."""
    with daemon.connect() as client:
        wait_until(lambda: status_of(client)["state"] != "failed")
        load(client)
        yield client


def test_bytes_that_are_no_message_end_the_child(
    daemon: Daemon, client: RawClient, load: Callable[[RawClient], None]
) -> None:
    """The client learns why; the next model loads in a new child."""
    for prompt in ("garbage", "zeros"):
        child = child_of(daemon)
        error = client.ask("rkllm.run", run_params(prompt))["error"]
        assert error["code"] == -32004
        assert "sent bytes that are no message, and was killed" in error["message"]
        load(client)
        assert child_of(daemon) != child


def test_a_connection_that_the_library_closes_ends_the_child(
    daemon: Daemon, client: RawClient
) -> None:
    """The child itself lives, and would never answer again."""
    child = child_of(daemon)
    error = client.ask("rkllm.run", run_params("end"))["error"]
    assert error["code"] == -32004
    wait_until(lambda: child_of(daemon) != child)


def test_a_process_that_the_library_started_does_not_hide_its_end(client: RawClient) -> None:
    """That process keeps the runtime's stdout and stderr open."""
    begun = time.monotonic()
    error = client.ask("rkllm.run", run_params("leave"))["error"]
    assert time.monotonic() - begun < 2
    assert error["data"] == {"signal": signal.SIGSEGV, "lines": ["argh"]}


def test_heartbeats_that_the_library_sends_are_heartbeats(client: RawClient) -> None:
    """Their bytes mean nothing."""
    assert client.ask("rkllm.run", run_params("beat"))["result"]["text"] == "word"


def test_printed_marks_do_not_move_lines_to_another_call(client: RawClient) -> None:
    """The error of a later call has its own lines only."""
    error = client.ask("rkllm.run", run_params("marks"))["error"]
    assert "E rkllm: genuine" in error["data"]["lines"]
    error = client.ask("rkllm.run", run_params("refuse"))["error"]
    assert "lines" not in error["data"]


def test_output_without_an_end_holds_nobody_up(daemon: Daemon, client: RawClient) -> None:
    """Not when the lines of a failed call are read, either."""
    child = child_of(daemon)
    client.socket.settimeout(10)
    try:
        assert client.ask("rkllm.run", run_params("flood"))["result"]["text"] == "word"
        assert client.ask("rkllm.run", run_params("refuse"))["error"]["code"] == -32000
    finally:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: child_of(daemon) != child)


def test_an_abort_that_never_returns_holds_nobody_up(daemon: Daemon, client: RawClient) -> None:
    """The child reads no more. It is ended when a run that was given up has not ended."""
    child = child_of(daemon)
    client.send(request("rkllm.run_async", run_params("abort hangs")))
    with daemon.connect() as other:
        assert client.line()["result"]["text"] == "word"
        assert "result" in other.ask("rkllm.abort")
        while not ends(client.line()):
            pass
        with daemon.connect() as leaving:
            leaving.send(request("rkllm.run", run_params("x" * 2**20)))
            wait_until(lambda: status_of(other)["state"] == "running")
        assert status_of(other)["state"] == "running", "it is answered while the child hangs"
        wait_until(lambda: child_of(daemon) != child)
