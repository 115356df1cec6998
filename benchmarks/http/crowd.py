"""200 clients at once: how late their tokens are, and what the servers need of memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.http.bench import HTTPBench, body
from benchmarks.http.servers import FASTAPI, OURS, contenders, process, serving
from benchmarks.processes import processor_time, resident
from benchmarks.suite.contenders import PEERS, running
from benchmarks.suite.ratios import Row, in_turns

STREAMS = 200
#: Tokens a second of each stream.
RATE = 20.0
#: The service sends 8 requests of one client to the daemon at once, and knows clients by address.
ADDRESSES = 25
CLIENT = "client"
#: The most that the service may need beyond a program with the daemon's client, in MB.
MOST_MB = 25.0


def crowd(bench: HTTPBench) -> list[Row]:
    """Measure new servers, alone and with the streams."""
    path = bench.directory / "paced.sock"
    arguments = [sys.executable, "-m", "benchmarks.http.paced", str(path), f"{RATE}"]
    command = [*arguments, str(bench.size.paced_tokens)]
    with running(lambda *_: command, bench.programs.directory, path):
        measures = {name: partial(_measure, bench, name, path) for name in contenders()}
        found = in_turns(measures, bench.size.turns)
        alone = [_client_memory(path) for _ in range(bench.size.turns)]
    count = min(STREAMS, bench.size.crowd)
    streams = f"{count} streams of {RATE:g} tokens/s"
    beyond = [mine - client for mine, client in zip(found["idle"][OURS], alone, strict=True)]
    memory = {**found["idle"], CLIENT: alone}
    ahead = {name: 1.0 for name in contenders() if name == FASTAPI}
    return [
        Row(f"{streams}: late by, p50", "ms", found["p50"], False, targets=ahead),
        Row(f"{streams}: late by, p99", "ms", found["p99"], False, targets=ahead, limit=50.0),
        Row(f"{streams}: share of a core", "%", found["share"], False, targets=ahead),
        Row("resident, no client", "MB", memory, False, targets=ahead),
        Row(f"resident, {count} clients", "MB", found["crowded"], False, targets=ahead),
        Row("resident beyond the daemon's client", "MB", {OURS: beyond}, False, limit=MOST_MB),
    ]


def _measure(bench: HTTPBench, name: str, path: Path) -> Mapping[str, float]:
    with serving([name], path) as servers:
        server = servers[name]
        bench.programs.http(server.port, body("one", max_tokens=1))
        idle = resident(server.pid)
        crowded, seconds, spent = 0.0, bench.size.paced_tokens / RATE, 0.0

        def look() -> None:
            # Measured amid the streams: neither while they begin nor while they end.
            nonlocal crowded, spent
            time.sleep(seconds * 0.3)
            before = processor_time(server.pid)
            time.sleep(seconds * 0.4)
            spent = processor_time(server.pid) - before
            crowded = resident(server.pid)

        streams = min(STREAMS, bench.size.crowd)
        found = bench.programs.http(
            server.port,
            body("many"),
            connections=streams,
            addresses=min(ADDRESSES, streams),
            ages=True,
            once_begun=look,
        )
        assert found["tokens"] == streams * bench.size.paced_tokens
    return {
        "p50": found["p50_us"] / 1000,
        "p99": found["p99_us"] / 1000,
        "share": 100 * spent / (seconds * 0.4),
        "idle": idle,
        "crowded": crowded,
    }


def _client_memory(path: Path) -> float:
    """Return what a program with the daemon's client needs."""
    with process([sys.executable, str(PEERS / "with_client.py"), str(path)]) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"connected\n"
        return resident(started.pid)
