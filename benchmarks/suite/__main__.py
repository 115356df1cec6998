"""The daemon's speed, in ratios: ``make bench`` runs this and writes into ``docs/performance/``.

``--check`` measures only a few rows and compares their ratios with the recorded ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.suite import floats, footprint, growth, requests, tokens, trips
from benchmarks.suite.axes import axes
from benchmarks.suite.bench import QUICK, Bench, Size, progress
from benchmarks.suite.contenders import CONTENDERS, ECHO, OURS, can_be_had
from benchmarks.suite.programs import Programs, build
from benchmarks.suite.ratios import Row

DOCS = Path(__file__).resolve().parents[2] / "docs" / "performance"
#: The rows of the short form, and how far a median ratio may fall below the recorded one.
CHECKED = ("1 connection", "100 connections", "64 deep")
FALL = 0.35


#: The groups of rows other than round trips, by heading.
GROUPS: Mapping[str, Sequence[Callable[[Bench], list[Row]]]] = {
    "Tokens": (tokens.full_speed, tokens.paced, tokens.latency),
    "Requests": (requests.requests, requests.long_queue),
    "Arrays of floats": (floats.arrays, floats.base64_cost),
    "The process": (footprint.start_up, footprint.loading, footprint.recovery, footprint.memory),
}


#: The same by the names that ``--only`` takes.
NAMED = {rows.__name__: rows for group in GROUPS.values() for rows in group}


def everything(bench: Bench, missing: tuple[str, ...], out: Path) -> None:
    """Measure all rows and write the report."""
    from benchmarks.suite.report import Report  # noqa: PLC0415 - the short form needs no plots

    begun, load, say = time.monotonic(), os.getloadavg()[0], progress()
    say("round trips")
    round_trips = trips.round_trips(bench, trips.SHAPES)
    say("connection set-up")
    round_trips += trips.connecting(bench)
    others: dict[str, list[Row]] = {}
    for heading, group in GROUPS.items():
        for rows in group:
            say(rows.__name__.replace("_", " "))
            others.setdefault(heading, []).extend(rows(bench))
    curves: list[growth.Curve] = []
    for axis in axes(bench):
        say(f"growth with {axis.title}")
        curves += growth.grown(bench, axis)
    loads = (load, os.getloadavg()[0])
    found = Report(round_trips, others, curves, time.monotonic() - begun, missing, loads)
    found.write(out)
    say(f"{len(found.missed())} targets are missed; written to {out}")


def some(bench: Bench, names: Sequence[str]) -> None:
    """Measure some groups of rows and print their tables."""
    from benchmarks.suite.report import machine, of_isolations  # noqa: PLC0415 - as above

    load = os.getloadavg()[0]
    for name in names:
        print(of_isolations(NAMED[name](bench)), end="\n\n", flush=True)
    print(f"{machine()}; load average {load:.1f} and {os.getloadavg()[0]:.1f} before and after.")


def check(bench: Bench, recorded: Path) -> int:
    """Measure the short form; return 1 if a ratio has fallen too far."""
    known = json.loads(recorded.read_text())["ratios"]
    shapes = [shape for shape in trips.SHAPES if shape.title in CHECKED]
    for shape in shapes:
        if ECHO not in known.get(shape.title, {}):
            sys.exit(f"{recorded} has no row “{shape.title}”: write it anew with make bench.")
    failed = 0
    for row in trips.round_trips(bench, shapes):
        now, then = row.ratio(OURS, ECHO), known[row.title][ECHO]["median"]
        least = (1 - FALL) * then
        verdict = "ok" if now.median >= least else "SLOWER"
        failed |= now.median < least
        print(
            f"{verdict:7} {row.title}: {now.median:.2f} ({now.low:.2f} – {now.high:.2f}) of the"
            f" bare echo; recorded {then:.2f}, at least {least:.2f} is wanted"
        )
    return int(failed)


def main() -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="only see whether everything runs")
    parser.add_argument("--check", action="store_true", help="compare a few rows with the record")
    parser.add_argument(
        "--record",
        type=Path,
        default=DOCS / "figures.json",
        help="what to compare with; a run without --check writes it [%(default)s]",
    )
    parser.add_argument(
        "--only", nargs="+", choices=NAMED, metavar="ROWS", help=f"print these: {', '.join(NAMED)}"
    )
    parser.add_argument("--turns", type=int, help="how many alternations are measured")
    parser.add_argument("--out", type=Path, help=f"where to write [{DOCS}]")
    options = parser.parse_args()
    if options.quick and not (options.check or options.only or options.out):
        parser.error("--quick measures nothing that is worth a record: add --out DIRECTORY")
    wanted = (OURS, ECHO) if options.check else tuple(CONTENDERS)
    names = tuple(name for name in wanted if can_be_had(CONTENDERS[name]))
    missing = tuple(name for name in wanted if name not in names)
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        directory = Path(place)
        build(directory)
        size = QUICK if options.quick else Size()
        size = attrs.evolve(size, turns=options.turns or size.turns)
        bench = Bench(Programs(directory), directory, size, names)
        if options.check:
            return check(bench, options.record)
        if options.only:
            some(bench, options.only)
            return 0
        everything(bench, missing, options.out or DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
