"""How soon clients hear of a crash, and how long a daemon takes to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from benchmarks.clients import Client
from benchmarks.isolation.daemons import MODES, Daemon, daemon
from benchmarks.processes import is_gone, wait_for
from benchmarks.tables import Row, percentile, row
from rkllm_twisted.daemon.service import CLOSE_GRACE_S, DRAIN_S
from rkllm_twisted.errors import ShuttingDown
from rkllm_twisted.rpc.limits import Limits

#: Seconds that a daemon may take to stop: when idle, and beyond its own limits for ending a run,
#: for the return of C, and for a client that reads its last message.
IDLE, TOLERANCE = 0.5, 1.0
LINGER = Limits().linger


def crashes(running: Daemon, times: int) -> list[Row]:
    """Measure the time from the crash to the client's error."""
    rows = []
    for how in ("segv", "abort", "exit", "SIGKILL from outside"):
        spent = []
        for _ in range(times):
            client = running.load()
            client.run(how if len(how) < 6 else "hang", "rkllm.run_async")
            at = int(client.answer()["result"]["text"]) / 1e6
            if how.startswith("SIGKILL"):
                running.settle()  # the previous child may still exist
                at = time.monotonic()
                os.kill(running.children()[0], signal.SIGKILL)
            error = client.answer()["error"]
            spent.append(time.monotonic() - at)
            assert error["code"] == -32004, error
            client.close()
        worst = max(spent)
        measured = f"{1000 * percentile(spent, 0.5):.1f} / {1000 * worst:.1f} ms"
        what = f"crash → error at the client, p50 / max of {times}: {how}"
        rows.append(row(what, measured, "≤ 100 ms", worst <= 0.1))
    return rows


def ends() -> list[Row]:
    """Measure how long a daemon takes to stop."""
    rows = []
    for mode in MODES:
        with daemon(mode) as running:
            running.load().close()
            rows.append(shutdown(f"idle with a model, {mode}", running.stop(), IDLE))
        with daemon(mode) as running, reading(amid(running, "pace")):
            what = f"amid an endless stream that is read, {mode}"
            rows.append(shutdown(what, running.stop(), DRAIN_S + TOLERANCE))
        with daemon(mode) as running, closing(amid(running, "pace")):
            what = f"amid an endless stream that is not read, {mode}"
            rows.append(shutdown(what, running.stop(), DRAIN_S + LINGER + TOLERANCE))
        with daemon(mode) as running, closing(amid(running, "hang")):
            what = f"with a runtime that hangs, {mode}"
            rows.append(
                shutdown(what, running.stop(), DRAIN_S + CLOSE_GRACE_S + LINGER + TOLERANCE)
            )
    with daemon("process") as running, closing(amid(running, "hang")):
        (child,) = running.children()
        running.stop(signal.SIGKILL)
        gone = wait_for(lambda: is_gone(child))
    what = "daemon killed → the runtime's process is gone, amid a call that hangs"
    rows.append(row(what, f"{1000 * gone:.0f} ms", "< 1 s", gone < 1))
    return rows


def amid(running: Daemon, prompt: str) -> Client:
    """Start a streaming run and return its client."""
    client = running.load()
    client.run(prompt, "rkllm.run_async")
    client.answer()
    return client


@contextmanager
def reading(client: Client) -> Iterator[None]:
    """Read the client's messages to the end; the last one must be ShuttingDown."""
    answers: list[Any] = []

    def read() -> None:
        with suppress(ValueError):  # an empty line marks the end of the connection
            while True:
                answers[:] = [client.answer()]

    reader = threading.Thread(target=read)
    reader.start()
    yield
    reader.join()
    assert answers[0]["error"]["code"] == ShuttingDown.code, answers


def shutdown(what: str, spent: float, most: float) -> Row:
    """Make a table row."""
    return row(f"SIGTERM → exit: {what}", f"{spent:.2f} s", f"< {most:g} s", spent < most)
