"""The runtime hangs or is stopped, under load from twenty clients, on every layout.

Most tests wait for a timeout, so the daemons of the four layouts run in parallel.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from many_clients import ABIS, CALLS, Rig, child_of, crowd, ends, is_alive, left_over, wait_until

#: Time limits for a run and for an init, which starts a process on a busy machine; time until a
#: process that ignores an abort is killed; and the tolerance for all of them.
LATE, LATE_INIT, FORCE, SLACK = 2.0, 5.0, 5.0, 5.0
HELLO = 'run\ntoken "Hello"\nfinish\n'
#: Place of the hang -> the script before it, and the option that limits its time.
PLACES = {
    "the first token": ("", "--first-token-timeout"),
    "another token": ('token "x"\n', "--token-timeout"),
}


class Everywhere:
    """A daemon of each layout.

    :param directory: makes a directory.
    """

    def __init__(self, directory: Callable[[str], Path], *options: str) -> None:
        self._rigs = [Rig(directory("hangs"), abi, *options) for abi in ABIS]

    def __call__(self, work: Callable[[Rig], object]) -> None:
        """Run a function with each daemon, all in parallel."""
        with ThreadPoolExecutor(len(self._rigs)) as threads:
            list(threads.map(work, self._rigs))

    def close(self) -> None:
        """Stop the daemons; their logs must have no traceback."""
        for rig in self._rigs:
            assert rig.daemon.stop() == 0
            assert "Traceback" not in rig.daemon.log.read_text()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: Any) -> Iterator[Everywhere]:
    """Start daemons with short time limits."""
    options = [f"--{what}-timeout={LATE}" for what in ("first-token", "token")]
    everywhere = Everywhere(tmp_path_factory.mktemp, f"--init-timeout={LATE_INIT}", *options)
    yield everywhere
    everywhere.close()


@pytest.fixture
def patient(tmp_path_factory: Any) -> Iterator[Everywhere]:
    """Start daemons with the default limits."""
    everywhere = Everywhere(tmp_path_factory.mktemp)
    yield everywhere
    everywhere.close()


def hang(rig: Rig, before: str, fault: str, option: str) -> tuple[list[Any], float, bool]:
    """Hang the first run; return the other answers, the time taken, and whether the child lives."""
    rig.load(f'run when "hang"\n{before}{fault}\n{HELLO}')
    child = child_of(rig.daemon)
    with crowd(rig.daemon) as they:
        begun = time.monotonic()
        they.queue("hi", first="hang")
        error = they.first()["error"]
        assert LATE <= time.monotonic() - begun < LATE + SLACK
        assert error["code"] == -32003
        assert option in error["message"]
        answers = they.answers()
        return answers, time.monotonic() - begun, is_alive(child)


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_stops_giving_tokens_is_aborted(hasty: Everywhere, place: str) -> None:
    """The client gets -32003; where the runtime honours the abort, all other clients are served."""
    before, option = PLACES[place]

    def work(rig: Rig) -> None:
        answers, _, lives = hang(rig, before, "hang until abort", option)
        assert answers == [None] * (CALLS - 1)
        assert lives

    hasty(work)


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_hears_no_abort_is_ended_by_force(hasty: Everywhere, place: str) -> None:
    """The process is killed after five seconds; queued runs hear that no model is loaded."""
    before, option = PLACES[place]

    def work(rig: Rig) -> None:
        answers, seconds, lives = hang(rig, before, "deaf\nhang", option)
        assert answers == [-32001] * (CALLS - 1)
        assert LATE + FORCE <= seconds < LATE + FORCE + SLACK
        assert not lives

    hasty(work)


def test_an_init_that_hangs_is_ended_by_force(hasty: Everywhere) -> None:
    """The client gets -32003 after the timeout; the daemon continues, and the next init works."""

    def work(rig: Rig) -> None:
        child = child_of(rig.daemon)
        with crowd(rig.daemon) as they, rig.daemon.connect() as loader:
            model = {"model_path": str(rig.script(f"init hang\n{HELLO}"))}
            begun = time.monotonic()
            loader.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.init", "params": [model]})
            wait_until(lambda: they.status()["state"] == "loading")
            they.ask("hi")
            error = loader.line()["error"]
            assert LATE_INIT <= time.monotonic() - begun < LATE_INIT + SLACK
            assert error["code"] == -32003
            assert "--init-timeout" in error["message"]
            assert they.answers() == [-32001] * CALLS
            assert LATE_INIT + FORCE <= time.monotonic() - begun < LATE_INIT + FORCE + SLACK
            assert not is_alive(child)
            rig.load(HELLO)
            they.ask("hi")
            assert they.answers() == [None] * CALLS

    hasty(work)


def test_a_stopped_child_is_noticed(patient: Everywhere) -> None:
    """SIGSTOP stops the heartbeat; ten seconds without one count as a crash."""

    def work(rig: Rig) -> None:
        rig.load(HELLO)
        child = child_of(rig.daemon)
        os.kill(child, signal.SIGSTOP)
        with crowd(rig.daemon) as they:
            they.queue("hi")
            error = they.first()["error"]
            assert error["code"] == -32004
            assert "stopped answering" in error["message"]
            assert they.answers() == [-32001] * (CALLS - 1)
            assert "stopped answering" in they.status()["problem"]
            assert not is_alive(child)
            rig.load(HELLO)
            they.ask("hi")
            assert they.answers() == [None] * CALLS

    patient(work)


def test_a_hung_runtime_does_not_keep_the_daemon_from_ending(patient: Everywhere) -> None:
    """The daemon ends in under 15 s; every client is answered, and no process remains."""

    def work(rig: Rig) -> None:
        rig.load('run\ntoken "x"\ndeaf\nhang\n')
        child = child_of(rig.daemon)
        with crowd(rig.daemon) as they:
            they.queue("hi")
            begun = time.monotonic()
            rig.daemon.process.send_signal(signal.SIGTERM)
            answers = [a for client in they.clients for a in left_over(client) if ends(a)]
            assert [a["error"]["code"] for a in answers] == [-32802] * CALLS
            assert rig.daemon.process.wait(20) == 0
            assert time.monotonic() - begun < 15 + SLACK  # docs/limits.md has the figure
        wait_until(lambda: not is_alive(child))

    patient(work)
