"""How the figures grow: with clients, with the size of a message, with the length of the queue."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
from contenders import CONTENDERS, ECHO, OURS, Server, all_running, daemon, running
from daemon import clients, load_model, resident, run
from programs import Load
from ratios import in_turns
from rows import Bench

CLIENTS = (1, 10, 100, 1000)
SIZES = (64, 1024, 16 * 1024, 256 * 1024, 1024 * 1024)
QUEUES = (0, 16, 64)
#: Requests under way that a connection may have.
EACH = 8


@attrs.frozen
class Curve:
    """A figure, at several places on an axis.

    :param places: on the axis.
    :param values: line -> for each place, a figure for each turn.
    """

    title: str
    axis: str
    unit: str
    places: Sequence[int]
    values: Mapping[str, Sequence[Sequence[float]]]


def with_clients(bench: Bench) -> list[Curve]:
    """Idle clients beside one that asks, and one that reads a stream."""
    places = [min(count, bench.size.crowd) for count in CLIENTS]
    found = []
    with _daemon(bench) as server:
        for count in places:
            with clients(server.path, count):
                found.append(_all(bench, server))
    return _curves("idle clients", places, found)


def with_queue(bench: Bench) -> list[Curve]:
    """Calls that wait for the NPU beside one client that asks, and nobody reads a stream."""
    found = []
    with _daemon(bench) as server:
        for length in QUEUES:
            with _queued(server.path, length):
                found.append(_asking(bench, server))
    return _curves("calls in the queue", QUEUES, found)


def with_size(bench: Bench) -> list[Curve]:
    """A string parameter of so many bytes, which the daemon reads and the echo sends back."""
    rates: dict[str, list[list[float]]] = {OURS: [], ECHO: []}
    names = list(rates)
    grown: list[list[float]] = []
    with all_running(names, bench.programs.directory, bench.directory) as servers:
        for size in SIZES:
            head = b'{"jsonrpc":"2.0","id":###,"method":"$/cancelRequest","params":{"id":"'
            load = Load(head + b"x" * size + b'"}}', seconds=bench.size.seconds)
            measures = {name: partial(_rate_of, bench, servers[name].path, load) for name in names}
            found = in_turns(measures, min(3, bench.size.turns))["rate"]
            for name in names:
                rates[name].append(found[name])
            grown.append([resident(servers[OURS].pid)])
    return [
        Curve("round trips", "bytes of a message", "answers/s", SIZES, rates),
        Curve("resident", "bytes of a message", "MB", SIZES, {OURS: grown}),
    ]


def _rate_of(bench: Bench, path: Path, load: Load) -> dict[str, float]:
    return {"rate": bench.programs.load(path, load)["per_second"]}


@contextlib.contextmanager
def _daemon(bench: Bench) -> Iterator[Server]:
    path = bench.directory / "growth.sock"
    with running(daemon("process"), bench.programs.directory, path) as server:
        load_model(path, bench.model)
        yield server


@contextlib.contextmanager
def _queued(path: Path, length: int) -> Iterator[None]:
    """Have a run under way, and so many that wait for it."""
    count = 1 + -(-length // EACH)
    with clients(path, count) as [first, *others], clients(path, 1) as [asking]:
        if length:
            first.send("rkllm.run", {"rkllm_input": {"prompt_input": "for ever"}})
        for number in range(length):
            params = {"rkllm_input": {"prompt_input": "ok"}}
            others[number // EACH].send("rkllm.run", params, number % EACH)
        while asking.ask("server.status")["queue_length"] != length:
            pass
        yield


def _asking(bench: Bench, server: Server) -> dict[str, list[float]]:
    load = Load(CONTENDERS[OURS].ping(), seconds=bench.size.seconds)
    turns = range(min(3, bench.size.turns))
    asked = [bench.programs.load(server.path, load) for _ in turns]
    return {
        "round trips, answers/s": [each["per_second"] for each in asked],
        "resident, MB": [resident(server.pid)],
    }


def _all(bench: Bench, server: Server) -> dict[str, list[float]]:
    turns = range(min(3, bench.size.turns))
    read = [bench.programs.stream(server.path, run("paced")) for _ in turns]
    full = [bench.programs.stream(server.path, run("full speed")) for _ in turns]
    return {
        **_asking(bench, server),
        "added latency per token p50, µs": [each["p50_us"] for each in read],
        "tokens at full speed, tokens/s": [each["per_second"] for each in full],
    }


def _curves(
    axis: str, places: Sequence[int], found: Sequence[Mapping[str, list[float]]]
) -> list[Curve]:
    curves = []
    for what in found[0]:
        title, _, unit = what.rpartition(", ")
        curves.append(Curve(title, axis, unit, places, {OURS: [each[what] for each in found]}))
    return curves
