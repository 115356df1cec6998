"""The daemon beside that of another checkout: ``python -m benchmarks.beside CHECKOUT``.

Clients, C programs and models are this checkout's. Both daemons are asked in turns; a ratio is
taken within each alternation.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs

from benchmarks.processes import environment
from benchmarks.suite import floats, footprint, requests, tokens
from benchmarks.suite.bench import PROCESS, QUICK, Bench, Size, progress
from benchmarks.suite.contenders import daemon
from benchmarks.suite.programs import Programs, build
from benchmarks.suite.ratios import Row, Spread
from benchmarks.tables import loads, machine, markdown, markdown_line, number

PROJECT = Path(__file__).resolve().parents[1]
BEFORE, NOW = "before", "now"
#: An embedding of 7 million floats.
IMAGE = (500, 14_000)

Group = Callable[[Bench], list[Row]]
#: What is measured, by the names that ``--only`` takes.
GROUPS: Mapping[str, Group] = {
    group.__name__: group
    for group in (
        tokens.full_speed,
        tokens.paced,
        footprint.start_up,
        footprint.loading,
        footprint.recovery,
        footprint.memory,
        floats.base64_cost,
        requests.long_queue,
    )
}
#: How many times the figure before is aimed for, by words of a row's title. The other rows have the
#: suite's limits.
TARGETS: Mapping[str, float] = {
    "processor time of a million tokens": 0.15,
    "tokens at the runtime's full speed": 6.0,
    "processor time per token, 1,000": 0.65,
    "per token p50, 1,000": 0.65,
    "start until it accepts": 0.94,
    "as base64: processor time": 1.0,
}


def interpreter(checkout: Path, python: Path) -> str:
    """Return the path of an interpreter in whose environment a checkout's daemon is installed.

    :raises SystemExit: another is, or none.
    """
    command = [str(python.absolute()), "-c", "import rkllm_twisted as it; print(it.__file__)"]
    try:
        found = subprocess.check_output(command, text=True, cwd="/", env=environment()).strip()
    except (OSError, subprocess.CalledProcessError) as failure:
        found = str(failure)
    if checkout.resolve() not in Path(found).parents:
        sys.exit(
            f"The daemon of {checkout} is not installed for {python}: {found}\n"
            "Run `make .venv/installed` there, or name another interpreter with --python."
        )
    return command[0]


def measured(bench: Bench, group: Group) -> tuple[list[Row], str]:
    """Measure some rows, without the other daemon if that fails; return why it did, too."""
    try:
        return group(bench), ""
    except Exception as failure:  # noqa: BLE001 - an older daemon may fail in any way
        alone = attrs.evolve(bench, measured={NOW: bench.measured[NOW]})
        return group(alone), " ".join(str(failure).split())[-300:]


def line(row: Row) -> list[str]:
    """Format a row; a figure or ratio that misses its target is bold."""
    before = number(row.spread(BEFORE).median) if BEFORE in row.values else "–"
    now, ratio = number(row.spread(NOW).median), _ratio(row)
    cells = [row.title, row.unit, before]
    goal = next((goal for words, goal in TARGETS.items() if words in row.title), None)
    if goal is None:
        now = f"**{now}**" if row.missed_limit(NOW) else now
        target = "" if row.limit is None else f"≤ {row.limit:g} {row.unit}"
        return [*cells, now, str(ratio or "–"), target]
    target = f"{'≥' if row.more_is_better else '≤'} {goal:g} ×"
    missed = ratio and (ratio.median < goal if row.more_is_better else ratio.median > goal)
    return [*cells, now, f"**{ratio}**" if missed else str(ratio or "–"), target]


def _ratio(row: Row) -> Spread | None:
    """Return the ratios of now to before, of the alternations that have both."""
    pairs = zip(row.values[NOW], row.values.get(BEFORE, ()), strict=False)
    ratios = [now / before for now, before in pairs if before]
    return Spread.of(ratios) if ratios else None


def report(bench: Bench, names: Sequence[str]) -> None:
    """Measure the groups of rows with these names, and print the table as it grows."""
    failures, say = [], progress()
    print(markdown(["what", "unit", BEFORE, NOW, f"× {BEFORE}", "target"], []))
    for name in names:
        say(name.replace("_", " "))
        rows, failure = measured(bench, GROUPS[name])
        for row in rows:
            print(markdown_line(line(row)), flush=True)
        if failure:
            failures.append(f"\n–: {name} cannot be had from the other checkout: {failure}")
    print("\n".join([*failures, ""]))


def main() -> None:
    """Print the table, and describe the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT", help="the other's directory")
    parser.add_argument("--python", type=Path, help="its interpreter [CHECKOUT/.venv/bin/python]")
    parser.add_argument("--turns", type=int, help="how many alternations are measured")
    names = ", ".join(GROUPS)
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="ROWS", help=f"of {names}")
    parser.add_argument("--quick", action="store_true", help="only see whether everything runs")
    options = parser.parse_args()
    other = options.python or options.checkout / ".venv" / "bin" / "python"
    daemons = {
        BEFORE: partial(daemon, PROCESS, python=interpreter(options.checkout, other)),
        NOW: partial(daemon, PROCESS, python=interpreter(PROJECT, Path(sys.executable))),
    }
    size, load = QUICK if options.quick else Size(image=IMAGE), os.getloadavg()[0]
    size = attrs.evolve(size, turns=options.turns or size.turns)
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        directory = Path(place)
        build(directory)
        bench = Bench(Programs(directory), directory, size, (), measured=daemons, yardsticks=False)
        report(bench, options.only or list(GROUPS))
    print(f"{machine()}; alternations: {size.turns}; {loads(load)}.")


if __name__ == "__main__":
    main()
