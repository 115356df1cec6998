"""Measure the costs and benefits of running the runtime in its own process, as a Markdown table.

``python -m benchmarks.isolation`` starts daemons with twistd, with ``--isolation`` process and
thread side by side, on the embedded runtime with scripted models. The clients are in this process.
A script's ``clock`` puts the time into each token, so one clock measures each delay, from the
runtime's callback to the client's read.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from benchmarks.isolation.big import crossing, memory
from benchmarks.isolation.daemons import TOKENS, Daemon, two_daemons
from benchmarks.isolation.ends import crashes, ends
from benchmarks.isolation.tokens import CLIENTS, lateness, paces
from benchmarks.tables import Row, loads, machine, table


def main() -> None:
    """Print the table and describe the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="only see whether everything runs")
    parser.add_argument("--only", help="the name of one group of figures")
    options = parser.parse_args()
    quick = options.quick
    load = os.getloadavg()[0]
    groups: dict[str, Callable[[dict[str, Daemon]], list[Row]]] = {
        "lateness": lambda _: lateness(1 if quick else 8, 0.2 if quick else 1),
        "paces": lambda both: paces(both, 3 if quick else CLIENTS, 1 if quick else 3,
                                    0.2 if quick else 1),
        "crossing": lambda both: crossing(both, 1 if quick else 5, 10 if quick else TOKENS),
        "crashes": lambda both: crashes(both["process"], 1 if quick else 15),
        "memory": lambda _: memory(),
        "ends": lambda _: [] if quick else ends(),
    }  # fmt: skip
    rows: list[Row] = []
    with two_daemons() as both:
        for name, figures in groups.items():
            if options.only in (None, name):
                rows += figures(both)
    print(f"{machine()}; {loads(load)}.\n")
    print(table(rows))


if __name__ == "__main__":
    main()
