"""The daemon's speed, in ratios: ``make bench`` runs this and writes into ``docs/performance/``.

``--check`` measures a few rows only and compares their ratios with those that are recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import growth
import rows
from contenders import CONTENDERS, ECHO, OURS, can_be_had
from programs import Programs, build
from ratios import Row

DOCS = Path(__file__).parents[2] / "docs" / "performance"
#: What the short form measures, and how far a median ratio may fall below the recorded one.
CHECKED = ("1 connection", "100 connections", "64 deep")
FALL = 0.35


def everything(bench: rows.Bench, missing: tuple[str, ...], out: Path) -> None:
    """Measure all rows and write the report."""
    import report  # noqa: PLC0415 - the short form needs no plots

    begun, load = time.monotonic(), os.getloadavg()[0]

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {what}", file=sys.stderr, flush=True)

    say("round trips")
    trips = rows.round_trips(bench, rows.SHAPES)
    say("connection set-up")
    trips += rows.connecting(bench)
    others: list[Row] = []
    for what in (rows.full_speed, rows.latency, rows.start_up, rows.memory):
        say(what.__name__.replace("_", " "))
        others += what(bench)
    curves: list[growth.Curve] = []
    for grow in (growth.with_clients, growth.with_size, growth.with_queue):
        say("growth " + grow.__name__.replace("_", " "))
        curves += grow(bench)
    loads = (load, os.getloadavg()[0])
    found = report.Report(trips, others, curves, time.monotonic() - begun, missing, loads)
    found.write(out)
    say(f"written to {out}")


def check(bench: rows.Bench, recorded: Path) -> int:
    """Measure the short form; 1 if a ratio has fallen too far."""
    known = json.loads(recorded.read_text())["ratios"]
    shapes = [shape for shape in rows.SHAPES if shape.title in CHECKED]
    failed = 0
    for row in rows.round_trips(bench, shapes):
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
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="only see whether everything runs")
    parser.add_argument("--check", action="store_true", help="compare a few rows with the record")
    parser.add_argument(
        "--record", type=Path, default=DOCS / "figures.json", help="what to compare with"
    )
    parser.add_argument("--out", type=Path, default=DOCS, help="where to write [%(default)s]")
    options = parser.parse_args()
    wanted = (OURS, ECHO) if options.check else tuple(CONTENDERS)
    names = tuple(name for name in wanted if can_be_had(CONTENDERS[name]))
    missing = tuple(name for name in wanted if name not in names)
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        directory = Path(place)
        build(directory)
        size = rows.QUICK if options.quick else rows.Size()
        bench = rows.Bench(Programs(directory), directory, size, names)
        if options.check:
            return check(bench, options.record)
        everything(bench, missing, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
