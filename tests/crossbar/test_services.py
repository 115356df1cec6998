"""Daemons, bridges and a front over a real router, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crossbar_router import CrossbarRouter, require_crossbar
from daemons import MAX_WAIT_S, Daemon, environment, twistd
from fleet_parts import PACED, TEXT

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import RuntimeCrashed, Unreachable
from rkllm_twisted.fleet.values import Role

require_crossbar()


class Fleet:
    """A router, three boards and a front."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "front.sock")
        model = directory / "paced.script"
        model.write_text(PACED)
        self.router = CrossbarRouter(directory / "router")
        self.daemons: dict[str, Daemon] = {}
        self.bridges: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("b1", "b2", "b3"):
            place = directory / name
            place.mkdir()
            options = ("--history", "connection", "--model", str(model))
            self.daemons[name] = Daemon(place, *options)
            self.start_bridge(name)
        self.start_front()
        self.await_boards(3)

    def start_front(self) -> None:
        """Start the front."""
        self.front = self._twistd(
            *("rkllm-fleet", "front", Role.ADMIN, f"unix:{self.router.socket}"),
            *("--socket", self.path, "--admin"),
        )

    def start_bridge(self, name: str) -> None:
        """Start the bridge of a board."""
        url = f"ws://127.0.0.1:{self.router.port}"
        daemon = str(self.daemons[name].path)
        self.bridges[name] = self._twistd("rkllm-board", name, Role.BOARD, url, "--daemon", daemon)

    def _twistd(
        self, program: str, name: str, role: Role, url: str, *options: str
    ) -> subprocess.Popen[bytes]:
        self.router.key(name, role)
        key = self.router.directory / "private" / f"{role.value}-{name}"
        joining = ("--router", url, "--name", name, "--key", str(key))
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*twistd(), "--nodaemon", "--pidfile=", program, *joining, *options],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment(),
            )

    def status(self) -> Any:
        """What the front says of the fleet."""
        with Client(self.path) as client:
            return client.call("server.status")["fleet"]

    def await_boards(self, count: int, patience: float = 2 * MAX_WAIT_S) -> float:
        """Wait until so many boards are free; return the seconds."""
        began = time.monotonic()
        while True:
            try:
                status: Any = self.status()
                if status["free"] == count:
                    return time.monotonic() - began
            except Unreachable as error:
                status = error
            if time.monotonic() - began > patience:
                logs = [path.read_text()[-2000:] for path in self.directory.glob("*.log")]
                raise AssertionError("\n".join([str(status), *logs]))
            time.sleep(0.02)  # the status is the only sign

    def busy(self) -> str:
        """The board that has a run."""
        [name] = [row["board"] for row in self.status()["boards"] if row["is_busy"]]
        return str(name)

    def stop(self) -> None:
        """Stop everything, the front first."""
        for process in (self.front, *self.bridges.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in (self.front, *self.bridges.values()):
            process.wait(MAX_WAIT_S)
        for daemon in self.daemons.values():
            daemon.stop()
        self.router.stop()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet for all tests."""
    directory = tmp_path_factory.mktemp("fleet")
    (directory / "router").mkdir()
    fleet = Fleet(directory)
    yield fleet
    fleet.stop()


@pytest.fixture
def fleet(started: Fleet) -> Fleet:
    """The same, when all boards are free."""
    started.await_boards(3)
    return started


def first_tokens(client: Client, count: int) -> tuple[Any, list[Any]]:
    """Begin a long run; the stream, and the first tokens."""
    results = client.stream("rkllm.run_async", [{"prompt_input": "Long"}])
    return results, [next(results) for _ in range(count)]


def test_nine_runs_in_three_waves(fleet: Fleet) -> None:
    """Three at once, and no board idle while one waits."""
    ends: list[float] = []
    texts: list[str] = []

    def ask() -> None:
        with Client(fleet.path) as client:
            texts.append(client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"])
            ends.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask) for _ in range(9)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert texts == [TEXT] * 9
    waves = [sorted(ends)[at] for at in (2, 5, 8)]
    assert waves[0] < waves[1] - 0.3 < waves[2] - 0.6


def test_a_client_that_leaves_frees_its_board(fleet: Fleet) -> None:
    """Within the time of some tokens, and each time."""
    for _ in range(5):
        with Client(fleet.path) as client:
            first_tokens(client, 2)
        assert fleet.await_boards(3) < 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_bridge_that_dies_costs_one_answer(fleet: Fleet, how: signal.Signals) -> None:
    """The client is told in time, no token comes twice, and the board comes back."""
    with Client(fleet.path, timeout=20) as client:
        results, came = first_tokens(client, 3)
        name = fleet.busy()
        fleet.bridges[name].send_signal(how)
        began = time.monotonic()
        with pytest.raises(RuntimeCrashed) as caught:
            came.extend(results)
        assert time.monotonic() - began < 12
        data = caught.value.data or {}
        assert (data["board"], data["tokens"]) == (name, len(came))
        assert client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"] == TEXT
    if how is signal.SIGKILL:
        fleet.bridges[name].wait(MAX_WAIT_S)
        fleet.start_bridge(name)
    else:
        os.kill(fleet.bridges[name].pid, signal.SIGCONT)
    fleet.await_boards(3)


def test_a_runtime_that_dies_costs_one_answer(fleet: Fleet) -> None:
    """The daemon loads its model again."""
    with Client(fleet.path, timeout=20) as client:
        results, came = first_tokens(client, 3)
        name = fleet.busy()
        daemon = fleet.daemons[name].process.pid
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        with pytest.raises(RuntimeCrashed) as caught:
            came.extend(results)
        assert (caught.value.data or {})["board"] == name


def test_a_router_that_dies_costs_the_runs_under_way(fleet: Fleet) -> None:
    """What comes meanwhile waits for it to be back."""
    with Client(fleet.path, timeout=60) as client, Client(fleet.path, timeout=60) as other:
        results, came = first_tokens(client, 3)
        fleet.router.stop()
        with pytest.raises(RuntimeCrashed):
            came.extend(results)
        texts: list[str] = []

        def ask() -> None:
            texts.append(other.call("rkllm.run", [{"prompt_input": "Hello"}])["text"])

        waiting = threading.Thread(target=ask)
        waiting.start()
        fleet.router.start()
        waiting.join(60)
        assert texts == [TEXT]


def test_a_front_that_dies_ends_its_runs(fleet: Fleet) -> None:
    """The board is free soon, and another front finds it so."""
    with Client(fleet.path, timeout=20) as client:
        results, _ = first_tokens(client, 3)
        name = fleet.busy()
        fleet.front.kill()
        with pytest.raises(Unreachable):
            list(results)
    began = time.monotonic()
    with fleet.daemons[name].connect() as local:
        while local.ask("server.status")["result"]["running"] is not None:
            assert time.monotonic() - began < 10
            time.sleep(0.02)  # the status is the only sign
    fleet.front.wait(MAX_WAIT_S)
    fleet.start_front()
    fleet.await_boards(3)


def test_a_bridge_leaves_in_order(fleet: Fleet) -> None:
    """The run under way ends, and then it goes."""
    with Client(fleet.path, timeout=20) as client:
        results = client.stream("rkllm.run_async", [{"prompt_input": "Hello"}])
        came = [next(results)]
        name = fleet.busy()
        fleet.bridges[name].terminate()
        came.extend(results)
        assert "".join(result["text"] or "" for result in came) == TEXT
    assert fleet.bridges[name].wait(MAX_WAIT_S) == 0
    fleet.await_boards(2)
    fleet.start_bridge(name)
    fleet.await_boards(3)
