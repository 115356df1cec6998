"""Growth of the figures with clients, with message size, and with queue length.

Each turn starts and warms up its own daemon, and measures once at each place of the axis.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from benchmarks.processes import processor_times, resident, spent_since
from benchmarks.suite.bench import PROCESS, Bench, run
from benchmarks.suite.contenders import CONTENDERS, ECHO, OURS, Server, running
from benchmarks.suite.programs import Load
from benchmarks.suite.ratios import Spread

#: The figures along an axis, and their units.
TRIPS, RESIDENT = ("round trips", "answers/s"), ("resident", "MB")
LATENCY, LATEST = ("added latency per token p50", "µs"), ("added latency per token p99", "µs")
TOKENS = ("tokens at full speed", "tokens/s")
COST = ("processor time of a million tokens", "s")
#: Called after a stream was requested and before it begins.
OnceBegun = Callable[[], object]


@attrs.frozen
class Curve:
    """A figure at several places on an axis.

    :param places: places on the axis.
    :param values: line -> for each place, a figure for each turn.
    """

    title: str
    axis: str
    unit: str
    places: Sequence[int]
    values: Mapping[str, Sequence[Sequence[float]]]

    def growth(self, line: str, at: int) -> Spread:
        """Return each turn's last figure as a multiple of its first."""
        first, here = self.values[line][0], self.values[line][at]
        return Spread.of([there / start for there, start in zip(here, first, strict=True)])


@attrs.frozen
class Axis:
    """An axis along which figures are measured.

    :param asking: prepares a place on the axis and returns the load for it.
    :param reading: prepares a place on the axis for reading a stream.
    :param options: options of the daemon.
    """

    title: str
    places: Sequence[int]
    asking: Callable[[Bench, Server, int], contextlib.AbstractContextManager[Load]]
    reading: Callable[[Bench, Server, int], contextlib.AbstractContextManager[OnceBegun]]
    options: Sequence[str] = ()
    beside_echo: bool = False


def grown(bench: Bench, axis: Axis) -> list[Curve]:
    """Measure along an axis."""
    found: dict[tuple[str, str], dict[str, list[list[float]]]] = {}
    for _ in range(bench.size.turns):
        with bench.loaded(PROCESS, *axis.options) as server, _echo(bench, axis) as echo:
            _at(bench, axis, server, axis.places[0])  # the process has reached its size
            for at, place in enumerate(axis.places):
                figures = [(*each, OURS) for each in _at(bench, axis, server, place).items()]
                if echo is not None:
                    figures.append((TRIPS, _rate(bench, axis, echo, place), ECHO))
                for what, value, line in figures:
                    lines = found.setdefault(what, {})
                    lines.setdefault(line, [[] for _ in axis.places])[at].append(value)
    return [
        Curve(title, axis.title, unit, axis.places, lines) for (title, unit), lines in found.items()
    ]


@contextlib.contextmanager
def _echo(bench: Bench, axis: Axis) -> Iterator[Server | None]:
    if not axis.beside_echo:
        yield None
        return
    path = bench.directory / "echo.sock"
    with running(CONTENDERS[ECHO].command, bench.programs.directory, path) as server:
        yield server


def _at(bench: Bench, axis: Axis, server: Server, place: int) -> dict[tuple[str, str], float]:
    """Measure all figures at one place."""
    with axis.asking(bench, server, place) as load:
        trips = bench.programs.load(server.path, load)["per_second"]
        memory = resident(server.pid)
    with axis.reading(bench, server, place) as once_begun:
        paced = bench.programs.stream(server.path, run("paced"), once_begun)
    with axis.reading(bench, server, place) as once_begun:
        before: dict[int, float] = {}

        def begin() -> None:
            once_begun()
            before.update(processor_times(server.pid))

        full = bench.programs.stream(server.path, run("moment"), begin)
        spent = spent_since(before, server.pid)
    return {
        TRIPS: trips,
        RESIDENT: memory,
        LATENCY: paced["p50_us"],
        LATEST: paced["p99_us"],
        TOKENS: full["per_second"],
        COST: spent / full["tokens"] * 1e6,
    }


def _rate(bench: Bench, axis: Axis, echo: Server, place: int) -> float:
    with axis.asking(bench, echo, place) as load:
        rate: float = bench.programs.load(echo.path, load)["per_second"]
    return rate
