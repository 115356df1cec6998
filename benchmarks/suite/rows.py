"""What is measured: one function for each group of rows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import attrs
from contenders import CONTENDERS, ECHO, OURS, Contender, Server, all_running, daemon, running
from daemon import SCRIPT, clients, load_model, processor_time, resident, run
from programs import Load, Programs
from ratios import Row, in_turns

#: One of the daemon's two ways to keep the runtime.
PROCESS, THREAD = "process", "thread"
LIBRARY = "library"


@attrs.frozen
class Size:
    """How much is measured.

    :param turns: alternations.
    :param seconds: that a load is measured.
    :param crowd: the largest number of connections.
    :param tokens: of a run at full speed, and of a paced one.
    """

    turns: int = 5
    seconds: float = 0.3
    crowd: int = 1000
    tokens: int = 20_000
    paced: int = 500


QUICK = Size(turns=1, seconds=0.05, crowd=20, tokens=500, paced=50)


@attrs.frozen
class Bench:
    """A place to measure in.

    :param names: of the contenders.
    """

    programs: Programs
    directory: Path
    size: Size
    names: tuple[str, ...]

    @property
    def model(self) -> Path:
        """The scripted model; written when it is first asked for."""
        path = self.directory / "model.script"
        if not path.exists():
            path.write_text(SCRIPT.format(tokens=self.size.tokens, paced=self.size.paced))
        return path

    @contextlib.contextmanager
    def daemons(self) -> Iterator[Mapping[str, Server]]:
        """One daemon of each isolation, with the model loaded."""
        with contextlib.ExitStack() as stack:
            servers = {}
            for isolation in (PROCESS, THREAD):
                path = self.directory / f"{isolation}.sock"
                command = daemon(isolation)
                servers[isolation] = stack.enter_context(
                    running(command, self.programs.directory, path)
                )
                load_model(path, self.model)
            yield servers


# Requests and answers

#: What the ratio to the echo should be at least, by row.
TARGETS = {"1 connection": 1.0, "100 connections": 1.2, "1,000 connections": 1.2, "64 deep": 1.5}


@attrs.frozen
class Shape:
    """A row of round trips: how they are asked for.

    :param batch: requests in one message.
    :param beside: does the daemon stream a run meanwhile?
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


def round_trips(bench: Bench, shapes: list[Shape]) -> list[Row]:
    """`server.ping` and what is answered to it elsewhere, in every shape."""
    rows = []
    with all_running(bench.names, bench.programs.directory, bench.directory) as servers:
        load_model(servers[OURS].path, bench.model)
        for shape in shapes:
            able = [name for name in bench.names if not shape.batch or CONTENDERS[name].batches]
            measures = {
                name: partial(_rate, bench, CONTENDERS[name], servers[name], shape) for name in able
            }
            rates = in_turns(measures, bench.size.turns)["rate"]
            targets = dict.fromkeys((n for n in able if CONTENDERS[n].kind in ("PyPI", "npm")), 1.0)
            if shape.title in TARGETS:
                targets[ECHO] = TARGETS[shape.title]
            rows.append(Row(shape.title, "answers/s", rates, targets=targets))
    return rows


def _rate(bench: Bench, contender: Contender, server: Server, shape: Shape) -> dict[str, float]:
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
    """From connect() to the first answer."""
    with all_running(bench.names, bench.programs.directory, bench.directory) as servers:

        def measure(name: str) -> dict[str, float]:
            contender = CONTENDERS[name]
            load = Load(
                contender.ping(), contender.framing, seconds=bench.size.seconds, connect=True
            )
            found = bench.programs.load(servers[name].path, load)
            return {"p50": found["p50_us"], "p99": found["p99_us"]}

        measures = {name: partial(measure, name) for name in bench.names}
        found = in_turns(measures, bench.size.turns)
    targets = dict.fromkeys(
        (name for name in bench.names if CONTENDERS[name].kind in ("PyPI", "npm")), 1.0
    )
    return [
        Row(f"connection set-up, {figure}", "µs", values, more_is_better=False, targets=targets)
        for figure, values in found.items()
    ]


# Tokens


def full_speed(bench: Bench) -> list[Row]:
    """Tokens of a runtime that takes no time, and what they cost."""
    with bench.daemons() as servers:

        def daemon_rate(name: str) -> dict[str, float]:
            before = processor_time(servers[name].pid)
            found = bench.programs.stream(servers[name].path, run("full speed"))
            spent = processor_time(servers[name].pid) - before
            return {"rate": found["per_second"], "cost": spent / found["tokens"] * 1e6}

        measures = {name: partial(daemon_rate, name) for name in servers}
        found = in_turns(
            {
                **measures,
                LIBRARY: lambda: {
                    "rate": bench.programs.own(bench.model, "full speed")["per_second"]
                },
            },
            bench.size.turns,
        )
    return [
        Row("tokens at the runtime's full speed", "tokens/s", found["rate"]),
        Row("processor time of a million tokens", "s", found["cost"], more_is_better=False),
    ]


@attrs.frozen
class Company:
    """What other clients do while one reads a stream.

    :param rate: requests a second of all; 0: as fast as they are answered.
    :param limit: what the 99th percentile should be at most, in microseconds.
    """

    title: str
    connections: int = 0
    rate: float = 0.0
    limit: float | None = None


COMPANIES = [
    Company("nobody else", limit=1000.0),
    Company("100 clients, 10 requests/s each", 100, 1000.0, 5000.0),
    Company("100 clients, as fast as they are answered", 100),
]


def latency(bench: Bench) -> list[Row]:
    """How old a token is when its client reads it, and whether the others slow the runtime."""
    rows = []
    rates: dict[str, Mapping[str, list[float]]] = {}
    with bench.daemons() as servers:
        for company in COMPANIES:

            def measure(name: str, company: Company = company) -> dict[str, float]:
                with _others(bench, servers[name], company):
                    found = bench.programs.stream(servers[name].path, run("paced"))
                return {figure: found[figure] for figure in ("p50_us", "p99_us", "per_second")}

            measures = {name: partial(measure, name) for name in servers}
            found = in_turns(measures, bench.size.turns)
            rates[company.title] = found["per_second"]
            for figure, limit in (("p50", None), ("p99", company.limit)):
                title = f"added latency per token {figure}, {company.title}"
                values = found[f"{figure}_us"]
                rows.append(Row(title, "µs", values, more_is_better=False, limit=limit))
    alone = rates[COMPANIES[0].title]
    for company in COMPANIES[1:]:
        share = {
            name: [
                100 * (1 - there / here)
                for there, here in zip(rates[company.title][name], alone[name], strict=True)
            ]
            for name in alone
        }
        limit = 5.0 if company.limit else None
        title = f"generation slowed by {company.title}"
        rows.append(Row(title, "%", share, more_is_better=False, limit=limit))
    return rows


def _others(
    bench: Bench, server: Server, company: Company
) -> contextlib.AbstractContextManager[None]:
    if not company.connections:
        return contextlib.nullcontext()
    connections = min(company.connections, bench.size.crowd)
    ping = CONTENDERS[OURS].ping()
    load = Load(ping, connections=connections, rate=company.rate, seconds=60)
    return bench.programs.beside("load", server.path, ping, *load.arguments())


# The process


def start_up(bench: Bench) -> list[Row]:
    """From the start of the process until it accepts."""

    def ready(name: str) -> dict[str, float]:
        command = CONTENDERS[ECHO].command if name == ECHO else daemon(name)
        path = bench.directory / "start.sock"
        with running(command, bench.programs.directory, path) as server:
            return {"ready": 1000 * server.ready}

    names = (PROCESS, THREAD, ECHO)
    found = in_turns({name: partial(ready, name) for name in names}, bench.size.turns)
    return [Row("start until it accepts", "ms", found["ready"], more_is_better=False, limit=400.0)]


def memory(bench: Bench) -> list[Row]:
    """What is resident, of a daemon that has just been started, and of its child."""

    def measure(isolation: str) -> dict[str, float]:
        path = bench.directory / "memory.sock"
        found = {}
        with running(daemon(isolation), bench.programs.directory, path) as server:
            with clients(path, 1) as [client]:
                deadline = time.monotonic() + 10
                while client.ask("server.status")["state"] != "empty" or _is_growing(server):
                    assert time.monotonic() < deadline
            found["idle"] = resident(server.pid)
            for count in (100, 1000):
                with clients(path, min(count, bench.size.crowd)):
                    found[f"{count:,} clients"] = resident(server.pid)
        return found

    found = in_turns(
        {name: partial(measure, name) for name in (PROCESS, THREAD)}, min(3, bench.size.turns)
    )
    return [
        Row(
            f"resident, {what}",
            "MB",
            values,
            more_is_better=False,
            limit=70.0 if what == "idle" else None,
        )
        for what, values in found.items()
    ]


def _is_growing(server: Server) -> bool:
    """Its child may still be starting."""
    before = resident(server.pid)
    time.sleep(0.3)
    return resident(server.pid) > before
