"""Start daemons with twistd, and read their memory and processor time from the kernel."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.clients import PATIENCE

MB = 1e6


class NeverHappenedError(Exception):
    """A condition was not met in time."""


def twistd(
    socket: Path, isolation: str, *options: str, log: str = "-", python: str = sys.executable
) -> list[str]:
    """Return the command that starts a daemon as a user does, on the embedded runtime.

    :param options: further options of ``twistd rkllm``.
    :param log: twistd's log file; ``-`` is its stdout.
    :param python: the interpreter; the daemon is the one that is installed in its environment.
    """
    return [
        python,
        "-c",
        "from twisted.scripts.twistd import run; run()",
        "--nodaemon",
        "--pidfile=",
        f"--logfile={log}",
        "rkllm",
        f"--socket={socket}",
        "--library=cpu",
        f"--isolation={isolation}",
        *options,
    ]


def environment() -> dict[str, str]:
    """Return our environment without variables that change options or force a new compilation."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RKLLM_") and name != "PYTHONDONTWRITEBYTECODE"
    }


@contextlib.contextmanager
def ending(process: subprocess.Popen[Any]) -> Iterator[None]:
    """End a process at the end: kill it if it does not end when it is asked."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def accepts(path: Path) -> bool:
    """Return whether a daemon accepts here: the file is there before, and refuses."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(path)) == 0


def wait_for(what: Callable[[], object]) -> float:
    """Wait until a condition is met, and return how long that took.

    :raises NeverHappenedError: the condition is still not met after ``PATIENCE``.
    """
    begun = time.monotonic()
    while not what():
        if time.monotonic() - begun > PATIENCE:
            raise NeverHappenedError(f"after {PATIENCE:g} s it is still not so: {what}")
        time.sleep(0.001)
    return time.monotonic() - begun


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, from any of its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    return [pid, *children(pid)]


def resident(pid: int) -> float:
    """Return the resident memory of a process and its children in MB."""
    pages = sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def proportional(pid: int) -> int:
    """Return a process's memory in bytes; shared pages count in proportion."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("\nPss:")[2].split()[0]) * 1024


def processor_time(pid: int) -> float:
    """Return the processor seconds of a process, over all its threads."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def processor_times(pid: int) -> dict[int, float]:
    """Return the processor seconds of a process and of each of its children, by process id."""
    return {each: processor_time(each) for each in family(pid)}


def spent_since(before: Mapping[int, float], pid: int) -> float:
    """Return the processor seconds spent since then, including by new children."""
    return sum(time - before.get(each, 0.0) for each, time in processor_times(pid).items())


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter if it goes while it is read
        return True
