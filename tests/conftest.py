"""Fixtures for every test. A logged error fails the test that caused it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

Flush = Callable[..., list[Failure]]
Start = Callable[..., Daemon]

# A shell without job control ignores SIGINT in what it starts in the background, and Python and all
# child processes inherit that. The tests of Ctrl-C send the signal themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def flush_logged_errors() -> Iterator[Flush]:
    """Fail the test if it logged an error that it did not flush.

    Yields a function: ``flush(*types)`` takes the failures of these exception types (all of them
    without an argument) out of what was logged, and returns them; like trial's flushLoggedErrors.
    """
    logged: list[Failure] = []

    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure") or event.get("failure")  # the latter from log.err
        if failure is not None:
            logged.append(failure)

    def flush(*types: type[BaseException]) -> list[Failure]:
        taken = [failure for failure in logged if not types or failure.check(*types)]
        logged[:] = [failure for failure in logged if failure not in taken]
        return taken

    globalLogPublisher.addObserver(observe)
    try:
        yield flush
    finally:
        globalLogPublisher.removeObserver(observe)
    if logged:
        pytest.fail("an error was logged:\n" + "\n".join(f.getTraceback() for f in logged))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons that are stopped after the test; their logs must hold no traceback."""
    daemons: list[Daemon] = []

    def start_one(*options: str, directory: Path = tmp_path, **kwargs: Any) -> Daemon:
        daemons.append(Daemon(directory, *options, **kwargs))
        return daemons[-1]

    yield start_one
    for daemon in daemons:
        daemon.stop(signal.SIGTERM)
        assert "Traceback" not in daemon.log.read_text(), daemon.log.read_text()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a model file for the scripted engine."""

    def write(text: str) -> Path:
        path = tmp_path / "model.script"
        path.write_text("#!rkllm-script 1\n" + text)
        return path

    return write
