"""Tokens: their rate through the daemon, their cost, and their delay."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial

import attrs

from benchmarks.processes import processor_times, spent_since
from benchmarks.suite.bench import RELAY, Bench, run
from benchmarks.suite.contenders import CONTENDERS, OURS, Server
from benchmarks.suite.programs import Load
from benchmarks.suite.ratios import Measure, Row, in_turns

#: The yardstick for the runtime's full speed.
LIBRARY = "library"


def full_speed(bench: Bench) -> list[Row]:
    """Measure rate and cost with a runtime that needs no time per token."""
    with bench.daemons_and_relay() as servers:

        def daemon_rate(name: str) -> Mapping[str, float]:
            before = processor_times(servers[name].pid)
            found = bench.programs.stream(servers[name].path, run("full speed"))
            spent = spent_since(before, servers[name].pid)
            return {"rate": found["per_second"], "cost": spent / found["tokens"] * 1e6}

        def library_rate() -> Mapping[str, float]:
            return {"rate": bench.programs.own(bench.model, "full speed")["per_second"]}

        measures: dict[str, Measure] = {name: partial(daemon_rate, name) for name in servers}
        if bench.yardsticks:
            measures[LIBRARY] = library_rate
        found = in_turns(measures, bench.size.turns)
    return [
        Row("tokens at the runtime's full speed", "tokens/s", found["rate"]),
        Row("processor time of a million tokens", "s", found["cost"], more_is_better=False),
    ]


#: Prompts of runs that take their time, by the tokens per second.
PACES = {"board": 20, "paced": 1000}


def paced(bench: Bench) -> list[Row]:
    """Measure cost and latency at the pace of a model on a board, and of a far faster one.

    A token that comes alone costs more than one at full speed: it wakes each thread on its way.
    """
    rows = []
    with bench.daemons_and_relay() as servers:
        for prompt, rate in PACES.items():

            def measure(name: str, prompt: str = prompt) -> Mapping[str, float]:
                before = processor_times(servers[name].pid)
                found = bench.programs.stream(servers[name].path, run(prompt))
                spent = spent_since(before, servers[name].pid)
                return {
                    "processor time per token": spent / found["tokens"] * 1e6,
                    "added latency per token p50": found["p50_us"],
                    "added latency per token p99": found["p99_us"],
                }

            found = in_turns({name: partial(measure, name) for name in servers}, bench.size.turns)
            rows += [
                Row(f"{figure}, {rate:,} tokens/s", "µs", values, more_is_better=False)
                for figure, values in found.items()
            ]
    return rows


@attrs.frozen
class Company:
    """The activity of other clients while one client reads a stream.

    :param rate: requests per second in total; 0 means as fast as they are answered.
    :param limit: the limit of the 99th percentile in microseconds.
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
    """Measure each token's age at its client, and whether other clients slow the runtime."""
    rows = []
    rates: dict[str, Mapping[str, list[float]]] = {}
    with bench.daemons_and_relay() as servers:
        for company in COMPANIES:

            def measure(name: str, company: Company = company) -> Mapping[str, float]:
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
    return rows + _slowed(rates)


def _slowed(rates: Mapping[str, Mapping[str, list[float]]]) -> list[Row]:
    """Return by how many per cent other clients slow the runtime itself.

    The relay's have no share: both are a share already.
    """
    rows = []
    alone = rates[COMPANIES[0].title]
    for company in COMPANIES[1:]:
        share = {
            name: [
                100 * (1 - there / here)
                for there, here in zip(rates[company.title][name], alone[name], strict=True)
            ]
            for name in alone
            if name != RELAY
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
    load = Load(CONTENDERS[OURS].ping(), connections=connections, rate=company.rate, seconds=60)
    return bench.programs.load_beside(server.path, load)
