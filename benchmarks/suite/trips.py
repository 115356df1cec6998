"""Requests and their answers: the daemon beside every other server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import attrs

from benchmarks.suite.bench import Bench, load_model, run
from benchmarks.suite.contenders import CONTENDERS, ECHO, OURS, Contender, Server, all_running
from benchmarks.suite.programs import Load
from benchmarks.suite.ratios import Row, in_turns

#: The least ratio to the echo, by row.
TARGETS = {"1 connection": 1.0, "100 connections": 1.2, "1,000 connections": 1.2, "64 deep": 1.5}


@attrs.frozen
class Shape:
    """A kind of round trip: how the requests are sent.

    :param batch: requests in one message.
    :param beside: whether the daemon streams a run meanwhile.
    """

    title: str
    connections: int = 1
    depth: int = 1
    batch: int = 0
    beside: bool = False


SHAPES = [
    Shape("1 connection"),
    Shape("10 connections", 10),
    Shape("100 connections", 100),
    Shape("1,000 connections", 1000),
    Shape("16 deep", depth=16),
    Shape("64 deep", depth=64),
    Shape("batches of 100", batch=100),
    Shape("1 connection, while a run streams", beside=True),
    Shape("100 connections, while a run streams", 100, beside=True),
    Shape("64 deep, while a run streams", depth=64, beside=True),
]


def round_trips(bench: Bench, shapes: Sequence[Shape]) -> list[Row]:
    """Measure `server.ping`, or the other server's equivalent, in every shape."""
    rows = []
    with all_running(bench.names, bench.programs.directory, bench.directory) as servers:
        load_model(servers[OURS].path, bench.model)
        for shape in shapes:
            able = [name for name in bench.names if not shape.batch or CONTENDERS[name].batches]
            measures = {
                name: partial(_rate, bench, CONTENDERS[name], servers[name], shape) for name in able
            }
            rates = in_turns(measures, bench.size.turns)["rate"]
            targets = _ahead_of(able)
            if shape.title in TARGETS:
                targets[ECHO] = TARGETS[shape.title]
            rows.append(Row(shape.title, "answers/s", rates, targets=targets))
    return rows


def _ahead_of(names: Iterable[str]) -> dict[str, float]:
    """Return the targets: to be faster than every alternative."""
    return {name: 1.0 for name in names if CONTENDERS[name].kind in ("PyPI", "npm")}


def _rate(bench: Bench, contender: Contender, server: Server, shape: Shape) -> Mapping[str, float]:
    load = Load(
        contender.batch(shape.batch) if shape.batch else contender.ping(),
        contender.framing,
        min(shape.connections, bench.size.crowd),
        shape.depth,
        bench.size.seconds,
        expect="pong" if contender.kind != "limit" else "",
    )
    beside: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if shape.beside and contender.name == OURS:
        beside = bench.programs.beside("stream", server.path, run("for ever"))
    with beside:
        found = bench.programs.load(server.path, load)
    return {"rate": found["per_second"] * max(1, shape.batch)}


def connecting(bench: Bench) -> list[Row]:
    """Measure from connect() to the first answer."""
    with all_running(bench.names, bench.programs.directory, bench.directory) as servers:

        def measure(name: str) -> Mapping[str, float]:
            contender = CONTENDERS[name]
            load = Load(
                contender.ping(), contender.framing, seconds=bench.size.seconds, connect=True
            )
            found = bench.programs.load(servers[name].path, load)
            return {"p50": found["p50_us"], "p99": found["p99_us"]}

        measures = {name: partial(measure, name) for name in bench.names}
        found = in_turns(measures, bench.size.turns)
    targets = _ahead_of(bench.names)
    return [
        Row(f"connection set-up, {figure}", "µs", values, more_is_better=False, targets=targets)
        for figure, values in found.items()
    ]
