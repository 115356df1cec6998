"""The memory for clients that do not read, and for clients that have disconnected."""

from __future__ import annotations

import time

from benchmarks.limits.daemon import Daemon
from benchmarks.limits.reactor import one_stream
from benchmarks.tables import Row, row

KIB = 1024


def slow_readers(daemon: Daemon, count: int, seconds: float, patience: float) -> list[Row]:
    """Measure clients that begin a stream and never read it."""
    rows = []
    with daemon.clients(2 * count) as clients:
        for client in clients:  # the memory of a client that reads is not counted
            client.ask("server.ping")
        warm, deaf = clients[:count], clients[count:]
        for client in warm:
            client.run("hi")
            client.answer()
        alone = one_stream(daemon, seconds)
        before = daemon.memory()
        for client in deaf:
            client.run("burst", "rkllm.run_async")
            daemon.until(lambda status: not status["running"])
        ended = time.monotonic()
        each = (daemon.memory() - before) / count
        beside = one_stream(daemon, seconds)
        daemon.until(lambda status: status["clients"] == count + 1)
        gone = time.monotonic() - ended
    good = each <= 1024 * KIB
    rows.append(
        row(f"memory per slow reader, of {count}", f"{each / KIB:.0f} KiB", "≤ 1 MiB", good)
    )
    ratio = beside / alone
    measured = f"{100 * ratio:.1f} % ({beside:.0f} and {alone:.0f})"
    rows.append(
        row("another's tokens/s beside them and without", measured, "± 5 %", abs(ratio - 1) <= 0.05)
    )
    what = "all slow readers are dropped, after the last one's stream"
    rows.append(row(what, f"{gone:.1f} s", f"≤ {patience:g} s (+ 1)", gone <= patience + 1))
    return rows


def growing(daemon: Daemon, thousands: int) -> list[Row]:
    """Measure the growth per thousand requests, with a new connection for every hundred."""

    def some(count: int) -> None:
        for _ in range(count // 100):
            client = daemon.connect()
            for _ in range(50):
                client.ask("server.ping")
                client.run("hi")
                client.answer()
            client.close()
        daemon.until(lambda status: status["clients"] == 1)

    some(max(1000, 300 * thousands))  # until caches and arenas have reached their size
    memory, files = daemon.memory(), daemon.descriptors()
    some(1000 * thousands)
    growth = (daemon.memory() - memory) / KIB / thousands
    files = daemon.descriptors() - files
    measured = f"{growth:.2f} KiB; {files} descriptors"
    good = growth <= 1 and files <= 0
    return [
        row(f"growth per 1,000 requests, over {1000 * thousands:,}", measured, "≤ 1 KiB; 0", good)
    ]
