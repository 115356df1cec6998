"""Steps of the clock and pauses of the daemon do not cost a healthy runtime its model."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from many_clients import child_of, run_params, status_of, wait_until

from rkllm_twisted.isolation.heartbeat import CHECK_INTERVAL_S, MAX_MISSED

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

#: Replaces time.time before Twisted imports it: the number in the file is added to the clock.
STEPPED = """
import time
real = time.time
def stepped():
    with open({path!r}) as file:
        return real() + float(file.read() or 0)
time.time = stepped
"""
SLOW = "run\n" + 'token "x"\nsleep 100\n' * 15 + "finish\n"


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], object]:
    """Return a function that steps the wall clock of daemons that start later."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(STEPPED.format(path=str(offset)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    def to(seconds: float) -> None:
        new = tmp_path / "offset.new"
        new.write_text(str(seconds))
        new.rename(offset)

    return to


@pytest.mark.parametrize(
    ("seconds", "twistd_options"),
    [
        (11, ()),
        (-400, ()),
        (400, ("--reactor=poll",)),
        (-400, ("--reactor=asyncio",)),
    ],
)
def test_a_step_of_the_clock_changes_nothing_for_an_idle_daemon(
    start: Start,
    script: Script,
    step: Callable[[float], object],
    seconds: float,
    twistd_options: tuple[str, ...],
) -> None:
    """The runtime's process lives; heartbeats and leaving clients are still noticed."""
    daemon = start(twistd_options=("--nodaemon", "--pidfile=", *twistd_options))
    daemon.load(script("run\nfinish\n"))
    child = child_of(daemon)
    step(seconds)
    time.sleep(2.5 * CHECK_INTERVAL_S)
    with daemon.connect() as client:
        status = status_of(client)
        assert (status["state"], status["clients"]) == ("loaded", 1)
        assert 0 < status["uptime_s"] < 100
        assert child_of(daemon) == child


@pytest.mark.parametrize("seconds", [400, -400])
def test_a_step_of_the_clock_during_a_run_and_under_load(
    start: Start, script: Script, step: Callable[[float], object], seconds: float
) -> None:
    """The run does not time out, and busy clients are answered throughout."""
    daemon = start("--token-timeout=30")
    daemon.load(script(SLOW))
    stop = threading.Event()
    answered = [0] * 5

    def ask(number: int) -> None:
        with daemon.connect() as client:
            while not stop.is_set():
                for _ in range(20):
                    client.send({"jsonrpc": "2.0", "id": 1, "method": "server.ping"})
                for _ in range(20):
                    assert client.line()["result"] == "pong"
                answered[number] += 1

    threads = [threading.Thread(target=ask, args=[n]) for n in range(len(answered))]
    for thread in threads:
        thread.start()
    try:
        with daemon.connect() as client:
            client.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.run", "params": run_params()})
            time.sleep(0.3)
            step(seconds)
            before = list(answered)
            assert client.line()["result"]["text"] == "x" * 15
        assert all(now > then for now, then in zip(answered, before, strict=True))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_pause_of_the_daemon_does_not_lose_the_model(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """SIGSTOP stands for suspend and ``docker pause``: of the daemon alone or with its child."""
    daemons: list[Any] = []
    for name in ("alone", "both", "running"):
        (tmp_path / name).mkdir()
        daemon = start("--token-timeout=5", directory=tmp_path / name)
        daemon.load(script(SLOW))
        daemons.append((daemon, child_of(daemon)))
    running = daemons[2][0].connect()
    running.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.run", "params": run_params()})
    time.sleep(0.3)
    paused = [daemon.process.pid for daemon, _ in daemons] + [child for _, child in daemons[1:]]
    for pid in paused:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(MAX_MISSED * CHECK_INTERVAL_S + 2)
    for pid in paused:
        os.kill(pid, signal.SIGCONT)
    with running:
        assert running.line()["result"]["text"] == "x" * 15
    time.sleep(2 * CHECK_INTERVAL_S)
    for daemon, child in daemons:
        with daemon.connect() as client:
            assert status_of(client)["state"] == "loaded"
        assert child_of(daemon) == child


def test_a_child_that_stopped_is_still_replaced(start: Start, script: Script) -> None:
    """Only the daemon's own pauses are excused."""
    daemon = start()
    daemon.load(script("run\nfinish\n"))  # its heartbeat has begun
    child = child_of(daemon)
    time.sleep(CHECK_INTERVAL_S)
    os.kill(child, signal.SIGSTOP)
    wait_until(lambda: child_of(daemon) != child, seconds=3 * MAX_MISSED * CHECK_INTERVAL_S)
