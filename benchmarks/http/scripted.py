"""Before a scripted model, which needs no time: what the HTTP servers themselves take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clients import clients
from benchmarks.http.bench import HTTPBench, body
from benchmarks.http.servers import OURS, HTTPServer, contenders, serving
from benchmarks.processes import processor_time
from benchmarks.suite.bench import run
from benchmarks.suite.contenders import daemon, running
from benchmarks.suite.ratios import Measure, Row, in_turns

SOCKET = "socket"
#: Clients at once, and the short answers that each of several asks for.
CROWD, SHORT_CROWD = 20, 8


@contextlib.contextmanager
def scripted_daemon(bench: HTTPBench) -> Iterator[Path]:
    """Start a daemon with a scripted model that has a name, and load it."""
    models = bench.directory / "models"
    models.mkdir()
    (models / "model.rkllm").write_text(bench.model.read_text())
    path = bench.directory / "scripted.sock"
    command = daemon("process", f"--model-dir={models}")
    with running(command, bench.programs.directory, path):
        with clients(path, 1) as [client]:
            client.ask("models.load", {"model": "model"})
        yield path


def scripted(bench: HTTPBench) -> list[Row]:
    """Measure streams and short answers."""
    rows = []
    with scripted_daemon(bench) as path, serving(contenders(), path) as servers:
        for server in servers.values():  # the first request connects and asks for the models
            bench.programs.http(server.port, body("short", stream=False))
        rows += _speed(bench, servers)
        rows += _ages(bench, servers, path)
        rows += _short(bench, servers)
    return rows


def _measured(
    bench: HTTPBench, server: HTTPServer, request: bytes, **options: Any
) -> dict[str, float]:
    """Send requests; return what was measured, and the server's processor seconds."""
    before = processor_time(server.pid)
    found = bench.programs.http(server.port, request, **options)
    return {**found, "spent": processor_time(server.pid) - before}


def _by_turns(
    bench: HTTPBench,
    servers: Mapping[str, HTTPServer],
    measure: Callable[[HTTPServer], Mapping[str, float]],
    **more: Measure,
) -> dict[str, dict[str, list[float]]]:
    """Measure each server by turns, and what else is named; return the values by figure."""
    measures = {name: partial(measure, server) for name, server in servers.items()}
    return in_turns({**measures, **more}, bench.size.turns)


def _speed(bench: HTTPBench, servers: Mapping[str, HTTPServer]) -> list[Row]:
    def measure(server: HTTPServer) -> Mapping[str, float]:
        one = _measured(bench, server, body("full speed"))
        many = _measured(bench, server, body("moment"), connections=CROWD)
        assert one["tokens"] == bench.size.tokens
        assert many["tokens"] == CROWD * bench.size.burst
        return {
            "one": one["tokens_per_second"],
            "many": many["tokens_per_second"],
            "cost": 1e6 * one["spent"] / one["tokens"],
        }

    found = _by_turns(bench, servers, measure)
    return [
        _row("streamed at the runtime's full speed, 1 client", "tokens/s", found["one"]),
        _row(f"the same, {CROWD} clients", "tokens/s", found["many"]),
        _row("processor time of the server, a token", "µs", found["cost"], False),
    ]


def _ages(bench: HTTPBench, servers: Mapping[str, HTTPServer], path: Path) -> list[Row]:
    def measure(server: HTTPServer) -> Mapping[str, float]:
        found = _measured(bench, server, body("paced"), ages=True)
        cost = 1e6 * found["spent"] / found["tokens"]
        return {"p50": found["p50_us"], "p99": found["p99_us"], "cost": cost}

    def measure_socket() -> Mapping[str, float]:
        found = bench.programs.stream(path, run("paced"))
        return {"p50": found["p50_us"], "p99": found["p99_us"]}

    found = _by_turns(bench, servers, measure, **{SOCKET: measure_socket})
    added = {
        figure: {
            name: [max(0.0, a - b) for a, b in zip(values, found[figure][SOCKET], strict=True)]
            for name, values in found[figure].items()
            if name != SOCKET
        }
        for figure in ("p50", "p99")
    }
    return [
        _row("a token's age at its client, a token each ms, p50", "µs", found["p50"], False),
        _row("the same, p99", "µs", found["p99"], False),
        Row("of that added over the socket, p50", "µs", added["p50"], False),
        Row("the same, p99", "µs", added["p99"], False, limit=5000.0),
        _row("processor time of the server, such a token", "µs", found["cost"], False),
    ]


def _short(bench: HTTPBench, servers: Mapping[str, HTTPServer]) -> list[Row]:
    request, each = body("short", stream=False), bench.size.short

    def measure(server: HTTPServer) -> Mapping[str, float]:
        one = _measured(bench, server, request, requests=each)
        many = _measured(
            bench, server, request, connections=SHORT_CROWD, requests=each // SHORT_CROWD
        )
        return {
            "one": one["requests_per_second"],
            "many": many["requests_per_second"],
            "cost": 1e6 * many["spent"] / many["requests"],
        }

    found = _by_turns(bench, servers, measure)
    return [
        _row("short completions, 1 client", "requests/s", found["one"]),
        _row(f"the same, {SHORT_CROWD} clients", "requests/s", found["many"]),
        _row("processor time of the server, a request", "µs", found["cost"], False),
    ]


def _row(
    title: str, unit: str, values: Mapping[str, list[float]], more_is_better: bool = True
) -> Row:
    """Return a row in which the service is to be ahead of FastAPI."""
    ahead = {name: 1.0 for name in values if name not in (OURS, SOCKET)}
    return Row(title, unit, values, more_is_better, targets=ahead)
