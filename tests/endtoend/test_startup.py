"""A failed start prints one sentence and exits with a code that is not 0."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, RawClient, environment, twistd
from many_clients import wait_until

from rkllm_twisted import __version__

Start = Callable[..., Daemon]


def refusal(directory: Path, *options: str, **variables: str) -> str:
    """Start a daemon that cannot start, and return its one line."""
    command = [*twistd(), "--nodaemon", "--pidfile=", "rkllm", *options]
    done = subprocess.run(
        command,
        cwd=directory,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_without_a_library_the_options_are_named(tmp_path: Path) -> None:
    """A missing NPU is an error; the daemon never falls back to the processor silently."""
    said = refusal(tmp_path, "--socket=s")
    assert said.startswith("twistd rkllm: ")
    assert "--library" in said
    assert "cpu" in said
    assert not (tmp_path / "s").exists()


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    """The error has the path as it was given."""
    assert "/nowhere/librkllmrt.so" in refusal(tmp_path, "--library=/nowhere/librkllmrt.so")


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    """The daemon checks the file before the loader does."""
    (tmp_path / "x.so").write_text("no library")
    said = refusal(tmp_path, f"--library={tmp_path / 'x.so'}")
    assert "x.so" in said


def test_a_library_for_another_machine_is_refused(tmp_path: Path) -> None:
    """The error names both machines."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    riscv = (3).to_bytes(2, "little") + (243).to_bytes(2, "little") + (1).to_bytes(4, "little")
    (tmp_path / "x.so").write_bytes(ident + riscv + bytes(40))
    said = refusal(tmp_path, f"--library={tmp_path / 'x.so'}")
    assert "x.so" in said
    assert os.uname().machine.replace("_", "-") in said.replace("_", "-")


def test_an_unknown_abi_is_refused_with_those_there_are(tmp_path: Path) -> None:
    """The error lists the known releases."""
    said = refusal(tmp_path, "--library=cpu", "--abi=9.9.9")
    assert "9.9.9" in said
    assert "1.3.0" in said


def test_a_contradicted_abi_is_refused(tmp_path: Path, start: Start) -> None:
    """A wrong layout would corrupt memory, so the library's own version is checked."""
    with start("--abi=1.2.1").connect() as client:
        library = client.ask("server.version")["result"]["runtime"]["library"]
    said = refusal(tmp_path, f"--library={library}", "--abi=1.3.0", "--socket=other")
    assert "1.3.0" in said
    assert "1.2.1" in said


def test_a_socket_in_use_is_named(tmp_path: Path, start: Start) -> None:
    """The second daemon ends, and the first continues."""
    daemon = start()
    said = refusal(tmp_path, "--library=cpu", f"--socket={daemon.path}")
    assert str(daemon.path) in said
    with daemon.connect() as client:
        assert client.ask("server.ping")["result"] == "pong"


@pytest.mark.parametrize(
    ("option", "word"), [("--mode=rwx", "mode"), ("--max-clients=0", "max-clients"), ("--x", "x")]
)
def test_a_wrong_option_is_named(tmp_path: Path, option: str, word: str) -> None:
    """The error has the valid values."""
    command = [*twistd(), "--nodaemon", "--pidfile=", "rkllm", option]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert not done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("twistd rkllm: ")
    assert word in line


def test_the_version_is_the_daemons(tmp_path: Path) -> None:
    """The version is not Twisted's."""
    done = subprocess.run(
        [*twistd(), "rkllm", "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (0, f"rkllm_twisted {__version__}\n")


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    """Values from the environment are checked like options."""
    command = [*twistd(), "--nodaemon", "--pidfile=", "rkllm"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**environment(), "RKLLM_MAX_CLIENTS": "many"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert "RKLLM_MAX_CLIENTS" in (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_daemon_cleanly_within_two_seconds(
    tmp_path: Path, start: Start, how: signal.Signals
) -> None:
    """The exit code is 0, and the socket is gone."""
    daemon = start()
    begun = time.monotonic()
    assert daemon.stop(how) == 0
    assert time.monotonic() - begun < 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["daemon.log"]


def test_a_stream_may_end_when_the_daemon_is_told_to_stop(
    start: Start, script: Callable[[str], Path], tmp_path: Path
) -> None:
    """The stream has ten seconds; the log says so, and the socket is removed first."""
    daemon, gate = start(), tmp_path / "gate"
    daemon.load(script(f'run\ntoken "first"\nwait "{gate}"\ntoken " second"\nfinish\n'))
    with daemon.connect() as client:
        client.ask("rkllm.run_async", [{"prompt_input": "hi"}])
        daemon.process.terminate()
        deadline = time.monotonic() + 5
        while daemon.path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)  # until the daemon has received the signal
        gate.touch()
        assert client.line()["result"]["text"] == " second"
        assert client.line()["result"]["_callback_state"] == 2
        assert client.eof() == b""
    assert daemon.process.wait(10) == 0
    assert "stopping: rkllm_run_async for client" in daemon.log.read_text()


@pytest.mark.parametrize(
    ("how", "host"),
    [(signal.SIGTERM, "c"), (signal.SIGTERM, "python"), (signal.SIGINT, "c")],
    ids=["SIGTERM-c", "SIGTERM-python", "Ctrl-C"],
)
def test_a_stream_may_end_when_the_whole_group_is_told_to_stop(
    start: Start, script: Callable[[str], Path], tmp_path: Path, how: signal.Signals, host: str
) -> None:
    """Terminals and containers signal all processes; the runtime's waits for the daemon."""
    daemon, gate = start(f"--runtime-host={host}", wrapper=["setsid"]), tmp_path / "gate"
    daemon.load(script(f'run\ntoken "first"\nwait "{gate}"\ntoken " second"\nfinish\n'))
    with daemon.connect() as client:
        client.ask("rkllm.run_async", [{"prompt_input": "hi"}])
        os.killpg(daemon.process.pid, how)
        wait_until(lambda: not daemon.path.exists())
        gate.touch()
        assert client.line()["result"]["text"] == " second"
        assert client.line()["result"]["_callback_state"] == 2
        assert client.eof() == b""
    assert daemon.process.wait(10) == 0
    assert "the runtime's process" not in daemon.log.read_text()


def test_a_stream_that_does_not_end_is_ended(start: Start, script: Callable[[str], Path]) -> None:
    """The stream ends with -32802 after ten seconds, and the daemon within fifteen."""
    daemon = start()
    daemon.load(script('run\ntoken "x"\nhang until abort\nfinish\n'))
    with daemon.connect() as client:
        client.ask("rkllm.run_async", [{"prompt_input": "hi"}])
        begun = time.monotonic()
        daemon.process.terminate()
        assert client.line()["error"]["code"] == -32802
        assert 9 < time.monotonic() - begun < 13
    assert daemon.process.wait(10) == 0
    assert time.monotonic() - begun < 15


def somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_a_killed_daemon_does_not_keep_the_next_one_out(start: Start) -> None:
    """kill -9 leaves the socket behind; the next start replaces it."""
    first = start()
    first.stop(signal.SIGKILL)
    assert first.path.is_socket()
    # A process that is just being started holds the socket until it becomes the runtime's.
    wait_until(lambda: not somebody_listens(first.path))
    with start().connect() as client:
        assert client.ask("server.ping")["result"] == "pong"


def test_a_pid_file_of_twistds_keeps_nobody_out(tmp_path: Path, start: Start) -> None:
    """The number of a killed daemon may belong to another process: here, to this test."""
    (tmp_path / "twistd.pid").write_text(str(os.getpid()))
    daemon = start(twistd_options=["--nodaemon"])
    assert daemon.stop() == 0
    assert (tmp_path / "twistd.pid").read_text() == str(os.getpid())


def test_a_pid_file_that_is_asked_for_is_written(tmp_path: Path, start: Start) -> None:
    """twistd writes it as usual."""
    daemon = start(twistd_options=["--nodaemon", "--pidfile=mine.pid"])
    assert (tmp_path / "mine.pid").read_text() == str(daemon.process.pid)


def test_a_daemon_in_the_background_can_be_found(tmp_path: Path) -> None:
    """The lock beside the socket has the process id, and a signal ends the daemon."""
    command = [*twistd(), "--logfile=log", "rkllm", "--library=cpu", "--socket=s"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, timeout=30)
    with RawClient(tmp_path / "s") as client:
        pid = int((tmp_path / "s.lock").read_text())
        assert client.ask("server.status")["result"]["pid"] == pid
        os.kill(pid, signal.SIGTERM)
        assert client.eof() == b""
    deadline = time.monotonic() + 10
    while (tmp_path / "s.lock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the daemon is not our child: its exit cannot be waited for
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_old_ones_stop_leaves_the_new_ones_socket(start: Start) -> None:
    """A new daemon was started after the old one's files had been removed."""
    old = start()
    old.path.unlink()
    old.path.with_name(old.path.name + ".lock").unlink()
    new = start()
    assert old.stop() == 0
    with new.connect() as client:
        assert client.ask("server.status")["result"]["pid"] == new.process.pid


def test_two_starts_at_once_have_one_winner(tmp_path: Path, start: Start) -> None:
    """One daemon serves; the others exit."""
    command = [*twistd(), "--nodaemon", "--pidfile=", "rkllm", "--library=cpu", "--socket=s"]
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    deadline = time.monotonic() + 30
    while sum(p.poll() is None for p in processes) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)  # wait until only one process is left
    alive = [p for p in processes if p.poll() is None]
    assert len(alive) == 1
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
    alive[0].terminate()
    assert alive[0].wait(10) == 0
    for process in processes:
        process.communicate()


def test_the_socket_is_private_by_default(start: Start) -> None:
    """The mode is 0600 from the start."""
    assert start().path.stat().st_mode & 0o777 == 0o600


def test_the_environment_names_the_socket(tmp_path: Path) -> None:
    """$RKLLM_UDS_PATH is also used by other servers of this library."""
    long = "x" * 120
    assert "120" in refusal(tmp_path, "--library=cpu", RKLLM_UDS_PATH=long) or long in refusal(
        tmp_path, "--library=cpu", RKLLM_UDS_PATH=long
    )
