"""Whether the host in C can run here, and what the daemon says when it cannot."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from rkllm_twisted.daemon.hosting import in_process
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.errors import StartupError
from rkllm_twisted.isolation import c_host
from rkllm_twisted.isolation.c_host import C_HOST, c_host_problem
from rkllm_twisted.isolation.process import ChildProcess

#: The ELF machine of no processor, at its place in the file.
NO_MACHINE, MACHINE_AT = b"\0\0", 18
#: Asks on a file system that is mounted with noexec.
ON_NOEXEC = """
mount -t tmpfs -o noexec none "$1" || exit 77
cp "$2" "$1/rkllm-host"
exec "$3" -c '
import pathlib, sys
from rkllm_twisted.isolation import c_host
c_host.C_HOST = pathlib.Path(sys.argv[1], "rkllm-host")
print(c_host.c_host_problem())
' "$1"
"""


def other_host(path: Path, how: str) -> Path:
    """Write a host that cannot be used; return its path."""
    if how != "missing":
        shutil.copy(C_HOST, path)
    if how == "mode":
        path.chmod(0o644)
    if how == "machine":
        data = path.read_bytes()
        path.write_bytes(data[:MACHINE_AT] + NO_MACHINE + data[MACHINE_AT + 2 :])
    if how == "libc":
        path.write_text("#!/bin/sh\necho 'libc.so.6: version GLIBC_9.9 not found' >&2\nexit 1\n")
    return path


#: What is wrong with the file -> what is said.
PROBLEMS = {
    "missing": "is missing; install a C compiler and the package again",
    "mode": "the mode 0755",
    "machine": "cannot be executed here (Exec format error); install the package for this system",
    "libc": "cannot run here (libc.so.6: version GLIBC_9.9 not found); install the package",
}


def test_the_host_that_was_built_can_run() -> None:
    """It says what it is, and ends."""
    assert c_host_problem() is None


@pytest.mark.parametrize("how", PROBLEMS)
def test_a_host_that_cannot_run_is_said_with_what_to_do(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not only that there is a file: what the kernel and the loader say to it."""
    monkeypatch.setattr(c_host, "C_HOST", other_host(tmp_path / "rkllm-host", how))
    assert PROBLEMS[how] in str(c_host_problem())


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_that_no_process_can_be_made_is_no_fault_of_the_file(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "run", refuse)
    said = str(c_host_problem())
    assert said.startswith(f"cannot be started now ({os.strerror(number)}); ")
    assert "install" not in said


def test_a_host_that_does_not_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "rkllm-host"
    path.write_text("#!/bin/sh\nexec sleep 600\n")
    path.chmod(0o755)
    monkeypatch.setattr(c_host, "C_HOST", path)
    monkeypatch.setattr(c_host, "START_TIMEOUT_S", 0.1)
    assert str(c_host_problem()).startswith("has not ended after 0.1 s; ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount file systems")
def test_a_file_system_without_execution_is_said(tmp_path: Path) -> None:
    """The file's own mode is right there."""
    words = ["unshare", "--mount", "sh", "-c", ON_NOEXEC, "sh", tmp_path, C_HOST, sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("may not be executed; mount the file system of /")
    assert "without noexec" in done.stdout


class NoProcesses(Clock):
    """A reactor whose processes are never started."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[ChildProcess, list[str]]] = []

    def spawnProcess(self, child: ChildProcess, _: str, command: list[str], **__: Any) -> None:
        """Keep a process and its command."""
        self.made.append((child, command))


def started(*options: str) -> SimpleNamespace:
    """Start the service of a runtime; return its version, its command and its warnings."""
    parsed, reactor, events = Options(), NoProcesses(), list[LogEvent]()
    parsed.parseOptions(["--library=cpu", *options])
    globalLogPublisher.addObserver(events.append)
    try:
        host = in_process(parsed, reactor)
        host.service.startService()
    finally:
        globalLogPublisher.removeObserver(events.append)
    [(child, command)] = reactor.made
    host.service.stopService()
    child.processEnded(Failure(ProcessDone(0)))
    reactor.advance(0)
    warnings = [one for one in events if one["log_level"] is LogLevel.warn]
    texts = [one["log_format"].format(**one) for one in warnings]
    return SimpleNamespace(version=host.runtime.version, command=command, warnings=texts)


@pytest.mark.parametrize("how", ["missing", "machine"])
def test_the_host_in_python_takes_its_place_and_the_log_says_why(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So does server.version."""
    monkeypatch.setattr(c_host, "C_HOST", other_host(tmp_path / "rkllm-host", how))
    found = started()
    assert found.version.host == "python"
    assert PROBLEMS[how] in found.version.host_reason
    assert "rkllm_twisted.isolation.host" in found.command
    [warning] = found.warnings
    assert "the one in Python" in warning
    assert PROBLEMS[how] in warning


def test_where_the_host_in_c_can_run_nothing_is_said() -> None:
    """It is used."""
    found = started()
    assert (found.version.host, found.version.host_reason, found.warnings) == ("c", None, [])
    assert found.command[0] == str(C_HOST)


def test_the_host_in_python_may_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That is no fault, whatever the one in C is like."""
    monkeypatch.setattr(c_host, "C_HOST", tmp_path / "rkllm-host")
    found = started("--runtime-host=python")
    assert (found.version.host, found.version.host_reason, found.warnings) == ("python", None, [])


def test_a_host_in_c_that_is_asked_for_and_cannot_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence says what to do instead."""
    monkeypatch.setattr(c_host, "C_HOST", tmp_path / "rkllm-host")
    expected = r"^--runtime-host c: the program in C is missing; .*or use --runtime-host auto\.$"
    with pytest.raises(StartupError, match=expected):
        started("--runtime-host=c")
