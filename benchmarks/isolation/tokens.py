"""The delay and the rate of tokens, with the runtime in a process and in a thread."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator

import attrs

from benchmarks.clients import LOADS, Busy
from benchmarks.isolation.daemons import HASTE, MODES, PACE, Daemon, two_daemons
from benchmarks.processes import wait_for
from benchmarks.tables import Row, percentile, row, spread

CLIENTS = 100

PACES = {"pace": PACE, "haste": HASTE}


@attrs.frozen
class Stream:
    """What a client measured while it read a stream.

    :param late: seconds from the callback to the client's read, of each token.
    :param rate: tokens per second, by the runtime's clock.
    """

    late: list[float]
    rate: float


def stream(
    running: Daemon, prompt: str, seconds: float, others: Callable[[], None] | None = None
) -> Stream:
    """Read tokens for some seconds, then disconnect."""
    client = running.connect()
    client.run(prompt, "rkllm.run_async")
    rest = client.socket.recv(1 << 16).rpartition(b"\n")[2]  # the first is late for other reasons
    if others is not None:
        client.socket.setblocking(False)
    late, made = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if others is not None:
            others()
        with contextlib.suppress(BlockingIOError):
            *lines, rest = (rest + client.socket.recv(1 << 16)).split(b"\n")
            now = time.monotonic_ns()
            for line in lines:
                if b'"text":"' not in line or b'"text":""' in line:
                    sys.exit(f"That is no token: {line!r}")
                made.append(int(line.partition(b'"text":"')[2].partition(b'"')[0]))  # in µs
                late.append(now / 1e9 - made[-1] / 1e6)
    client.close()
    wait_for(lambda: not is_running(running))
    return Stream(late, 1e6 * (len(made) - 1) / (made[-1] - made[0]))


def is_running(running: Daemon) -> bool:
    """Tell whether a run is under way."""
    client = running.connect()
    state = client.ask("server.status")["state"]
    client.close()
    return bool(state == "running")


@contextlib.contextmanager
def real_time() -> Iterator[str]:
    """Use real-time scheduling, where permitted, for this process and the processes it starts."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        yield ""
        return
    try:
        yield ", real-time"
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def lateness(times: int, seconds: float) -> list[Row]:
    """Compare the delay of tokens between the isolations, with real-time scheduling if allowed."""
    late: dict[str, list[float]] = {mode: [] for mode in MODES}
    with real_time() as how, two_daemons() as both:
        for _ in range(times):
            for mode, running in both.items():
                late[mode] += stream(running, "pace", seconds).late
    rows = [
        row(f"callback → client's read, p50 / p99, {mode} ({len(late[mode])} tokens{how})",
            spread(late[mode]), "", True)
        for mode in MODES
    ]  # fmt: skip
    more = [percentile(late["process"], p) - percentile(late["thread"], p) for p in (0.5, 0.99)]
    measured = f"{1000 * more[0]:.2f} / {1000 * more[1]:.2f} ms"
    return [
        *rows,
        row("added by the process, p50 / p99", measured, "p99 < 1 ms", more[1] < 0.001),
    ]


def paces(both: dict[str, Daemon], count: int, times: int, seconds: float) -> list[Row]:
    """Compare the runtime's speed beside busy clients with its speed without them."""
    rows = []
    for (prompt, pace), (mode, running) in itertools.product(PACES.items(), both.items()):
        rates: dict[str, list[float]] = {name: [] for name in ("", *LOADS)}
        for name in [*rates] * times:
            clients = [running.connect() for _ in range(count)]
            busy = Busy(clients, *LOADS[name]) if name else None
            rates[name].append(stream(running, prompt, seconds, busy).rate)
            for client in clients:
                client.close()
        alone = percentile(rates[""], 0.5)
        for name in LOADS:
            rate = percentile(rates[name], 0.5)
            what = f"tokens/s at {pace} ms, {mode}, beside {count} clients, {name}"
            measured = f"{100 * rate / alone:.1f} % ({rate:.1f} and {alone:.1f})"
            rows.append(row(what, measured, "≥ 95 %", rate / alone >= 0.95))
    return rows
