"""The reactor's delay, and the speed of a stream and of a new connection, beside other clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from benchmarks.clients import LOADS, Busy, Client
from benchmarks.limits.daemon import Daemon
from benchmarks.tables import Row, percentile, row, spread


def pace(client: Client, seconds: float, others: Callable[[], None] = lambda: None) -> float:
    """Measure a stream's tokens per second while other clients are active."""
    client.run("pace", "rkllm.run_async")
    client.answer()
    begun, tokens = time.monotonic(), 0
    client.socket.setblocking(False)
    while time.monotonic() < begun + seconds:
        with contextlib.suppress(BlockingIOError):
            tokens += client.socket.recv(1 << 16).count(b"\n")
        others()
    return tokens / (time.monotonic() - begun)


def one_stream(daemon: Daemon, seconds: float, others: Callable[[], None] = lambda: None) -> float:
    """Return the median of three streams, each on its own connection."""
    rates = []
    for _ in range(3):
        client = daemon.connect()
        rates.append(pace(client, seconds / 3, others))
        client.close()
        daemon.until(lambda status: not status["running"])
    return percentile(rates, 0.5)


def busy_clients(daemon: Daemon, count: int, seconds: float) -> list[Row]:
    """Measure the reactor's delay and a stream's speed beside busy clients."""
    rows = []
    with daemon.clients(count) as clients:
        for client in clients:
            client.ask("server.ping")
        daemon.ticks()
        alone = one_stream(daemon, seconds)
        rows.append(stall("one stream and nobody else", daemon.ticks()))
        for name, (pause, at_once) in LOADS.items():
            busy = Busy(clients, pause, at_once)
            begun = time.monotonic()
            rate = one_stream(daemon, seconds, busy)
            asked = busy.answers / (time.monotonic() - begun)
            rows.append(stall(f"{count} clients, {name} ({asked:.0f} answers/s)", daemon.ticks()))
            measured = f"{100 * rate / alone:.0f} % ({rate:.0f} and {alone:.0f})"
            rows.append(row(f"tokens/s beside {count} clients, {name}", measured, "", True))
    return rows


#: Messages that are expensive to parse, each about as long as a message may be.
BIG = {"numbers": (b"1,", 30_000_000), "escapes": (b'"\\n\\n",', 7_000_000)}


def big_messages(daemon: Daemon, share: float) -> list[Row]:
    """Measure the reactor's delay while the daemon parses a big message."""
    rows = []
    for name, (piece, count) in BIG.items():
        pieces = piece * int(count * share)
        message = b'{"jsonrpc":"2.0","id":1,"method":"server.ping","params":[%b1]}\n' % pieces
        with daemon.clients(1) as (client,):
            client.ask("server.ping")
            daemon.ticks()
            client.socket.sendall(message)
            assert "error" in client.answer()
        rows.append(stall(f"a message of {len(message) >> 20} MiB of {name}", daemon.ticks()))
    return rows


def stall(beside: str, ticks: list[tuple[float, float]]) -> Row:
    """Return the reactor's delay by the clock, and its own processor time in that period."""
    late, own = ([tick[which] for tick in ticks] for which in (0, 1))
    p99, most = percentile(late, 0.99), max(late)
    itself = f"{1000 * percentile(own, 0.99):.1f} / {1000 * max(own):.1f}"
    measured = f"{1000 * p99:.1f} / {1000 * most:.1f} ms (its own time: {itself})"
    good = p99 <= 0.005 and most <= 0.05
    return row(f"reactor late, p99 / max: {beside}", measured, "p99 ≤ 5 ms, max ≤ 50 ms", good)


def connecting(daemon: Daemon, count: int) -> list[Row]:
    """Measure from connect() to the first answer, while all other clients stay connected."""
    spent = []
    with daemon.clients(0):
        clients = []
        for _ in range(count):
            begun = time.monotonic()
            clients.append(daemon.connect())
            clients[-1].ask("server.ping")
            spent.append(time.monotonic() - begun)
        for client in clients:
            client.ask("server.ping")
            client.close()
    good = percentile(spent, 0.99) <= 0.001
    what = f"connect and first answer, p50 / p99, {count:,} at once"
    return [row(what, spread(spent), "p99 ≤ 1 ms, 0 failures", good)]
