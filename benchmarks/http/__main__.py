"""The HTTP service beside other servers: ``python -m benchmarks.http`` prints tables."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.http.bench import FULL, QUICK, HTTPBench
from benchmarks.http.bundled import bundled
from benchmarks.http.crowd import CLIENT, crowd
from benchmarks.http.scripted import scripted
from benchmarks.http.servers import FASTAPI, LABELS, OURS, contenders
from benchmarks.model_servers import NO_PEER, has_peer
from benchmarks.suite.programs import Programs, build
from benchmarks.suite.ratios import Missed, Row
from benchmarks.suite.report import WITHIN
from benchmarks.tables import loads, machine, markdown, number

NAMES = {**LABELS, CLIENT: "the daemon's client alone"}


def main() -> int:
    """Measure, and print the tables; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="only see whether everything runs")
    parser.add_argument("--turns", type=int, help="how often each server has its turn")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    size = attrs.evolve(size, turns=options.turns or size.turns)
    begun, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-http-") as place:
        directory = Path(place)
        build(directory)
        bench = HTTPBench(
            programs=Programs(directory), directory=directory, size=size, names=contenders()
        )
        for title, measure in PARTS.items():
            print(f"{time.monotonic() - begun:5.0f} s  {title}", file=sys.stderr, flush=True)
            print(f"## {title}\n\n{written(measure(bench))}\n")
    for reason in absent():
        print(f"Not measured: {reason}")
    print(f"{machine()}; {time.monotonic() - begun:.0f} s, {loads(load)}.")
    return 0


PARTS = {"A scripted model": scripted, "Many clients": crowd, "The bundled model": bundled}


def absent() -> list[str]:
    """Tell which servers are not installed."""
    missing = [] if FASTAPI in contenders() else ["pip install 'fastapi' 'uvicorn[standard]'."]
    return missing if has_peer(sys.executable) else [*missing, NO_PEER]


def written(rows: Sequence[Row]) -> str:
    """Return rows as a table: the medians, and how many times as good ours are as the others'."""
    names = [name for name in NAMES if any(name in row.values for row in rows)]
    others = [name for name in names if any(name in row.targets for row in rows)]
    lines = []
    for row in rows:
        figures = [_figure(row, name) for name in names]
        ratios = [_ratio(row, name) for name in others]
        limit = f"≤ {row.limit:g} {row.unit}" if row.limit is not None else ""
        lines.append([row.title, row.unit, *figures, *ratios, limit])
    ahead = [f"ahead of {NAMES[name]}" for name in others]
    return markdown(["what", "unit", *(NAMES[name] for name in names), *ahead, "target"], lines)


def _figure(row: Row, name: str) -> str:
    if name not in row.values:
        return "–"
    text = number(row.spread(name).median)
    return _marked(text, row.missed_limit(name) if name == OURS else None)


def _ratio(row: Row, name: str) -> str:
    if name not in row.targets:
        return "–"
    return _marked(str(row.ratio(OURS, name)), row.missed_ratio(OURS, name))


def _marked(text: str, missed: Missed | None) -> str:
    if missed is None:
        return text
    return f"**{text}**{f' {WITHIN}' if missed.within_spread else ''}"


if __name__ == "__main__":
    sys.exit(main())
