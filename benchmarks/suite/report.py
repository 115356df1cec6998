"""The page, the figures as JSON, and the plots."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pygal
from contenders import CONTENDERS, ECHO, OURS
from growth import Curve
from ratios import Row, Spread
from rows import LIBRARY, PROCESS, THREAD

LABELS: Mapping[str, str] = {
    **{name: contender.label for name, contender in CONTENDERS.items()},
    PROCESS: "process",
    THREAD: "thread",
    LIBRARY: "the C library alone",
}


@attrs.frozen
class Report:
    """Everything that one run has measured.

    :param round_trips: rows of all contenders.
    :param others: rows of the daemon's two isolations.
    :param seconds: that it took.
    """

    round_trips: Sequence[Row]
    others: Sequence[Row]
    curves: Sequence[Curve]
    seconds: float
    missing: Sequence[str] = ()
    load: tuple[float, float] = (0.0, 0.0)

    def as_json(self) -> dict[str, Any]:
        """With the ratios that the short form of CI compares."""
        return {
            "machine": machine(),
            "seconds": round(self.seconds, 1),
            "load_average": list(self.load),
            "ratios": {
                row.title: {
                    name: attrs.asdict(row.ratio(OURS, name)) for name in row.values if name != OURS
                }
                for row in self.round_trips
            },
            "rows": [attrs.asdict(row) for row in (*self.round_trips, *self.others)],
            "growth": [attrs.asdict(curve) for curve in self.curves],
        }

    def write(self, directory: Path) -> None:
        """Write the tables, the figures and the plots."""
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False)
        (directory / "figures.json").write_text(text + "\n")
        (directory / "figures.md").write_text(self.markdown())
        bars = [row for row in self.round_trips if row.unit == "answers/s"]
        (directory / "round-trips.svg").write_bytes(_bars(bars))
        for curve in self.curves:
            (directory / f"{_file_name(curve)}.svg").write_bytes(_line(curve))

    def markdown(self) -> str:
        """The page."""
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
            "## Round trips",
            "How many times as good as each of the others the daemon is: the median and the spread"
            " of the alternations. **Bold**: a target that is missed.",
            _ratios(self.round_trips),
            "The figures behind it, each the median of the alternations:",
            _medians(self.round_trips),
            "![Round trips](round-trips.svg)",
            "## Tokens and the process",
            _isolations(self.others),
            "## Growth",
            *(_growth(curve) for curve in self.curves),
        ]
        return "\n\n".join(parts) + "\n"


def machine() -> str:
    """What it was measured on."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    cores = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{platform.machine()}, {cores}, Node {node.stdout.strip() or 'none'}"


def number(value: float) -> str:
    """Three digits, and no less than the whole number."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _shown(spread: Spread) -> str:
    return f"{number(spread.median)} ({number(spread.low)} – {number(spread.high)})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratios(rows: Sequence[Row]) -> str:
    names = [name for name in rows[0].values if name != OURS]
    head = ["what", *(LABELS[name] for name in names), "target"]
    lines = []
    for row in rows:
        cells = []
        for name in names:
            if name not in row.values:
                cells.append("–")
                continue
            ratio = row.ratio(OURS, name)
            shown = _shown(ratio)
            cells.append(f"**{shown}**" if ratio.median < row.targets.get(name, 0) else shown)
        target = f"{row.targets[ECHO]:g} of the echo" if ECHO in row.targets else ""
        lines.append([row.title, *cells, target])
    return _table(head, lines)


def _medians(rows: Sequence[Row]) -> str:
    names = list(rows[0].values)
    head = ["what", "unit", *(LABELS[name] for name in names)]
    lines = [
        [
            row.title,
            row.unit,
            *(number(row.spread(n).median) if n in row.values else "–" for n in names),
        ]
        for row in rows
    ]
    return _table(head, lines)


def _isolations(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        cells = []
        for name in (PROCESS, THREAD):
            spread = row.spread(name)
            missed = row.limit is not None and spread.median > row.limit
            cells.append(f"**{_shown(spread)}**" if missed else _shown(spread))
        others = [
            f"{LABELS[name]}: {_shown(row.spread(name))}; share {_share(row, name)}"
            for name in row.values
            if name not in (PROCESS, THREAD)
        ]
        target = f"≤ {row.limit:g} {row.unit}" if row.limit is not None else ""
        lines.append([row.title, row.unit, *cells, "; ".join(others), target])
    return _table(["what", "unit", "process", "thread", "yardstick", "target"], lines)


def _share(row: Row, other: str) -> str:
    """Of the yardstick's figure, the process's."""
    pairs = zip(row.values[PROCESS], row.values[other], strict=True)
    return f"{Spread.of([100 * ours / theirs for ours, theirs in pairs]).median:.3g} %"


def _growth(curve: Curve) -> str:
    head = [curve.axis, *(f"{LABELS[name]}, {curve.unit}" for name in curve.values)]
    lines = [
        [f"{place:,}", *(_shown(Spread.of(values[at])) for values in curve.values.values())]
        for at, place in enumerate(curve.places)
    ]
    title = f"{curve.title} by {curve.axis}"
    table = _table(head, lines)
    return f"### {title.capitalize()}\n\n{table}\n\n![{title}]({_file_name(curve)}.svg)"


def _file_name(curve: Curve) -> str:
    return "-".join(f"{curve.title} by {curve.axis}".split())


STYLE = pygal.style.Style(background="white", plot_background="white", font_family="sans-serif")


def _options(title: str) -> dict[str, Any]:
    return {"title": title, "style": STYLE, "width": 900, "height": 450, "js": ()}


def _bars(rows: Sequence[Row]) -> bytes:
    chart = pygal.Bar(**_options("Answers a second"), x_label_rotation=30, legend_at_bottom=True)
    chart.x_labels = [row.title for row in rows]
    for name in rows[0].values:
        if name != "machine":  # it would be all that one sees
            chart.add(
                LABELS[name].strip("`"),
                [row.spread(name).median if name in row.values else None for row in rows],
            )
    return bytes(chart.render())


def _line(curve: Curve) -> bytes:
    chart = pygal.XY(
        **_options(f"{curve.title.capitalize()}, {curve.unit}"),
        x_title=curve.axis,
        legend_at_bottom=True,
        show_legend=len(curve.values) > 1,
    )
    for name, values in curve.values.items():
        points = zip(curve.places, values, strict=True)
        chart.add(LABELS[name].strip("`"), [(x, Spread.of(y).median) for x, y in points])
    return bytes(chart.render())
