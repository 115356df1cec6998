"""The daemon under systemd: the passed socket and the notifications."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from daemons import MAX_WAIT_S, RawClient, environment, twistd
from many_clients import wait_until

#: Becomes the daemon as under systemd: the socket is descriptor 3, and LISTEN_PID is its id.
BECOME = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@" 3<&{descriptor}'


class Manager:
    """systemd's part: the listening socket, and the socket that receives notifications.

    :ivar socket: bound and listening, with permissions of its own.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "activated"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.path.chmod(0o640)
        self.socket.listen()
        self.news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.news.bind(str(directory / "notify"))
        self.news.settimeout(MAX_WAIT_S)
        self.log = directory / "daemon.log"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start the daemon as in rkllm.service."""
        descriptor = self.socket.fileno()
        command = [*twistd(), "--nodaemon", "--pidfile=", "rkllm", "--library=cpu", *options]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-c", BECOME.format(descriptor=descriptor), "bash", *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                pass_fds=[descriptor],
                env={
                    **environment(),
                    "LISTEN_FDS": "1",
                    "NOTIFY_SOCKET": str(self.directory / "notify"),
                    **variables,
                },
            )
        self.processes.append(process)
        return process

    def told(self) -> dict[str, str]:
        """Read the next notification."""
        lines = self.news.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def until(self, is_it: Callable[[Mapping[str, str]], bool]) -> Mapping[str, str]:
        """Read until a notification meets the condition."""
        deadline = time.monotonic() + MAX_WAIT_S
        while time.monotonic() < deadline:
            if is_it(news := self.told()):
                return news
        pytest.fail("what was waited for was not told")

    def until_silence(self, seconds: float) -> None:
        """Read until no notification has come for this long."""
        deadline = time.monotonic() + MAX_WAIT_S
        self.news.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < deadline:
                self.told()
        assert time.monotonic() < deadline
        self.news.settimeout(MAX_WAIT_S)

    def close(self) -> None:
        """Close everything."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.socket.close()
        self.news.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A process that starts daemons as systemd does."""
    manager = Manager(tmp_path)
    yield manager
    manager.close()
    assert "Traceback" not in manager.log.read_text(), manager.log.read_text()


def is_ready(news: Mapping[str, str]) -> bool:
    """Tell whether the notification has READY=1."""
    return news.get("READY") == "1"


def test_who_connects_first_is_served_by_the_daemon_that_comes(manager: Manager) -> None:
    """The kernel keeps data that was sent before the daemon started."""
    with RawClient(manager.path) as client:
        client.send({"jsonrpc": "2.0", "id": 7, "method": "server.ping"})
        manager.start()
        assert client.line() == {"jsonrpc": "2.0", "id": 7, "result": "pong"}


def test_the_passed_socket_is_left_as_it_was(manager: Manager) -> None:
    """Mode and file are unchanged; the next daemon serves clients that connect in between."""
    first = manager.start()
    manager.until(is_ready)
    assert stat.S_IMODE(manager.path.stat().st_mode) == 0o640
    first.terminate()
    assert first.wait(10) == 0
    assert stat.S_IMODE(manager.path.stat().st_mode) == 0o640
    with RawClient(manager.path) as client:
        client.send({"jsonrpc": "2.0", "id": 1, "method": "server.ping"})
        manager.start()
        assert client.line()["result"] == "pong"
    assert sorted(path.name for path in manager.directory.iterdir()) == [
        "activated",
        "daemon.log",
        "notify",
    ]


def test_another_daemon_does_not_take_systemds_socket(manager: Manager) -> None:
    """A daemon started by hand at the same path is refused, before any client has connected."""
    command = [*twistd(), "--nodaemon", "rkllm", "--library=cpu", f"--socket={manager.path}"]
    done = subprocess.run(
        command,
        cwd=manager.directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=MAX_WAIT_S,
    )
    assert done.returncode == 1
    assert f"Another program already listens on {manager.path}" in done.stderr
    manager.log.touch()


def test_it_is_ready_when_it_answers_and_says_when_it_stops(manager: Manager) -> None:
    """READY=1 comes first; STOPPING=1 follows the signal."""
    process = manager.start()
    first = manager.told()
    assert is_ready(first)
    assert first["STATUS"].startswith("no model is loaded")
    with RawClient(manager.path) as client:
        assert client.ask("server.ping")["result"] == "pong"
    process.terminate()
    manager.until(lambda news: news.get("STOPPING") == "1")
    assert process.wait(10) == 0


def test_the_status_names_the_model(manager: Manager, script: Callable[[str], Path]) -> None:
    """The status has the name once the model is loaded."""
    manager.start()
    model = script("run\nfinish\n")
    with RawClient(manager.path) as client:
        client.ask("rkllm.init", [{"model_path": str(model)}])
        news = manager.until(lambda news: model.name in news.get("STATUS", ""))
    assert news["STATUS"].startswith(f"{model.name} is loaded; waiting calls: 0; clients: ")


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that a process has started."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def test_the_watchdog_is_fed_only_while_the_runtime_moves(
    manager: Manager, script: Callable[[str], Path]
) -> None:
    """A stopped runtime stops the signs of life until a new one has started."""
    process = manager.start(WATCHDOG_USEC="1000000")
    manager.until(is_ready)
    begun = time.monotonic()
    for _ in range(4):
        manager.until(lambda news: news == {"WATCHDOG": "1"})
    assert 1.3 < time.monotonic() - begun < 4  # each half second
    with RawClient(manager.path) as client:  # with a model, its heartbeat has begun
        client.ask("rkllm.init", [{"model_path": str(script("run\nfinish\n"))}])
    (child,) = children_of(process)
    os.kill(child, signal.SIGSTOP)
    manager.until_silence(2)
    os.kill(child, signal.SIGKILL)
    manager.until(lambda news: news == {"WATCHDOG": "1"})


def test_the_runtimes_process_inherits_nothing_of_it(manager: Manager) -> None:
    """With variables or socket, the child could keep the socket open and pose as the daemon."""
    process = manager.start(WATCHDOG_USEC="5000000")
    manager.until(lambda news: "WATCHDOG" in news)
    wait_until(lambda: len(children_of(process)) == 1)
    (child,) = children_of(process)
    variables = Path(f"/proc/{child}/environ").read_text()
    assert not any(name in variables for name in ("LISTEN_", "NOTIFY_", "WATCHDOG_"))
    ours = Path(f"/proc/self/fd/{manager.socket.fileno()}").readlink()
    assert ours not in [fd.readlink() for fd in Path(f"/proc/{child}/fd").iterdir()]


def test_systemds_own_activator_starts_it(tmp_path: Path) -> None:
    """systemd-socket-activate listens, and becomes the daemon at the first connection."""
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("systemd-socket-activate is not installed (package systemd)")
    path = tmp_path / "s"
    command = ["systemd-socket-activate", "--listen", str(path), *twistd()]
    process = subprocess.Popen(
        [*command, "--nodaemon", "--pidfile=", "rkllm", "--library=cpu"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + MAX_WAIT_S
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)  # until it listens
        with RawClient(path) as client:
            assert client.ask("server.ping")["result"] == "pong"
            process.terminate()
            assert client.eof() == b""
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()
    assert path.exists()
