"""The report page, and the figures as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from benchmarks import tables
from benchmarks.suite import plots
from benchmarks.suite.bench import PROCESS, RELAY, THREAD
from benchmarks.suite.contenders import CONTENDERS, ECHO, OURS
from benchmarks.suite.growth import Curve
from benchmarks.suite.ratios import Missed, Row, Spread
from benchmarks.suite.tokens import LIBRARY
from benchmarks.tables import number

LABELS: Mapping[str, str] = {
    **{name: contender.label for name, contender in CONTENDERS.items()},
    PROCESS: "process",
    THREAD: "thread",
    LIBRARY: "the C library alone",
    RELAY: "a relay in C",
}
#: Marks a figure that misses its target by the median and meets it in one of the alternations.
WITHIN = "~"


@attrs.frozen
class Report:
    """All results of one run.

    :param round_trips: rows with all contenders.
    :param others: rows with the daemon's two isolations, by heading.
    :param seconds: duration of the run.
    """

    round_trips: Sequence[Row]
    others: Mapping[str, Sequence[Row]]
    curves: Sequence[Curve]
    seconds: float
    missing: Sequence[str] = ()
    load: tuple[float, float] = (0.0, 0.0)

    def missed(self) -> list[Missed]:
        """Return the targets that are missed."""
        found = [row.missed_ratio(OURS, name) for row in self.round_trips for name in _others(row)]
        for rows in self.others.values():
            found += [row.missed_limit(name) for row in rows for name in _isolations(row)]
        return [each for each in found if each is not None]

    def as_json(self) -> dict[str, Any]:
        """Return the figures with the ratios that the short form compares in CI."""
        others = [row for rows in self.others.values() for row in rows]
        return {
            "machine": machine(),
            "seconds": round(self.seconds, 1),
            "load_average": list(self.load),
            "ratios": {
                row.title: {name: attrs.asdict(row.ratio(OURS, name)) for name in _others(row)}
                for row in self.round_trips
            },
            "missed": [attrs.asdict(each) for each in self.missed()],
            "rows": [attrs.asdict(row) for row in (*self.round_trips, *others)],
            "growth": [attrs.asdict(curve) for curve in self.curves],
        }

    def write(self, directory: Path) -> None:
        """Write the tables, the figures and the plots."""
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False)
        (directory / "figures.json").write_text(text + "\n")
        (directory / "figures.md").write_text(self.markdown())
        bars = [row for row in self.round_trips if row.unit == "answers/s"]
        (directory / "round-trips.svg").write_bytes(plots.bars(bars, LABELS))
        for curve in self.curves:
            (directory / _file_name(curve)).write_bytes(plots.line(curve, LABELS))

    def markdown(self) -> str:
        """Return the page as Markdown."""
        load = " and ".join(f"{each:.1f}" for each in self.load)
        parts = [
            "# Figures",
            "`make bench` writes this page and [figures.json](figures.json);"
            " [the page beside it](README.md) says how to read it.",
            f"{machine()}; {self.seconds:.0f} s, load average {load} before and after.",
        ]
        if self.missing:
            missing = ", ".join(LABELS[name] for name in self.missing)
            parts.append(f"Not measured, because not installed: {missing}.")
        parts += [
            f"**Bold**: a target that is missed, by the median. {WITHIN}: missed within the"
            " spread, since one alternation or more has met it.",
            "## Round trips",
            "How many times as good as each of the others the daemon is: the median and the spread"
            " of the alternations.",
            _ratios(self.round_trips),
            "The figures behind it, each the median of the alternations:",
            _medians(self.round_trips),
            "![Round trips](round-trips.svg)",
        ]
        for title, rows in self.others.items():
            parts += [f"## {title}", of_isolations(rows)]
        parts += [
            "## Growth",
            "The first line of a table has each figure with its spread. The others have its median,"
            " and behind × how many times what it is in the first line: the median and the spread"
            " of the turns.",
            *(_growth(axis, list(curves))
              for axis, curves in groupby(self.curves, lambda curve: curve.axis)),
        ]  # fmt: skip
        return "\n\n".join(parts) + "\n"


def machine() -> str:
    """Describe the machine that was measured on."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return f"{tables.machine()}, Node {node.stdout.strip() or 'none'}"


def _shown(spread: Spread, missed: Missed | None = None) -> str:
    text = str(spread)
    if missed is None:
        return text
    return f"**{text}**{f' {WITHIN}' if missed.within_spread else ''}"


def _others(row: Row) -> list[str]:
    return [name for name in row.values if name != OURS]


def _isolations(row: Row) -> list[str]:
    return [name for name in (PROCESS, THREAD) if name in row.values]


def _ratios(rows: Sequence[Row]) -> str:
    names = _others(rows[0])
    lines = []
    for row in rows:
        cells = [
            _shown(row.ratio(OURS, name), row.missed_ratio(OURS, name))
            if name in row.values
            else "–"
            for name in names
        ]
        target = f"{row.targets[ECHO]:g} of the echo" if ECHO in row.targets else ""
        lines.append([row.title, *cells, target])
    return tables.markdown(["what", *(LABELS[name] for name in names), "target"], lines)


def _medians(rows: Sequence[Row]) -> str:
    names = list(rows[0].values)
    lines = [
        [
            row.title,
            row.unit,
            *(number(row.spread(n).median) if n in row.values else "–" for n in names),
        ]
        for row in rows
    ]
    return tables.markdown(["what", "unit", *(LABELS[name] for name in names)], lines)


def of_isolations(rows: Sequence[Row]) -> str:
    """Format rows with the daemon's two isolations, and with yardsticks."""
    lines = []
    for row in rows:
        cells = [
            _shown(row.spread(name), row.missed_limit(name)) if name in row.values else "–"
            for name in (PROCESS, THREAD)
        ]
        yardsticks = [
            f"{LABELS.get(name, name)}: {_shown(row.spread(name))}; share {_share(row, name)}"
            for name in row.values
            if name not in (PROCESS, THREAD)
        ]
        target = f"≤ {row.limit:g} {row.unit}" if row.limit is not None else ""
        lines.append([row.title, row.unit, *cells, "; ".join(yardsticks), target])
    return tables.markdown(["what", "unit", "process", "thread", "yardstick", "target"], lines)


def _share(row: Row, other: str) -> str:
    """Return the share of the yardstick's figure in the process's; a dash beside nothing."""
    pairs = zip(row.values[PROCESS], row.values[other], strict=True)
    shares = [100 * ours / theirs for ours, theirs in pairs if theirs]
    if not shares:
        return "–"
    share = Spread.of(shares).median
    return f"{share:,.0f} %" if share >= 100 else f"{share:.3g} %"


def _growth(axis: str, curves: Sequence[Curve]) -> str:
    """Format all figures along an axis."""
    lines = [(curve, name) for curve in curves for name in curve.values]
    head = [axis] + [
        f"{curve.title}, {curve.unit}{'' if name == OURS else f': {LABELS[name]}'}"
        for curve, name in lines
    ]
    rows = [
        [
            f"{place:,}",
            *(_grown(curve, name, at) for curve, name in lines),
        ]
        for at, place in enumerate(curves[0].places)
    ]
    plotted = [f"![{_title(curve)}]({_file_name(curve)})" for curve in curves]
    return "\n\n".join([f"### With {axis}", tables.markdown(head, rows), *plotted])


def _grown(curve: Curve, line: str, at: int) -> str:
    figure = Spread.of(curve.values[line][at])
    return f"{number(figure.median)} × {_shown(curve.growth(line, at))}" if at else _shown(figure)


def _title(curve: Curve) -> str:
    return f"{curve.title} by {curve.axis}"


def _file_name(curve: Curve) -> str:
    return f"{'-'.join(_title(curve).split())}.svg"
