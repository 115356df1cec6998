"""Measure whether the daemon keeps its limits: ``python -m benchmarks.limits`` prints a table.

A daemon with default options runs in its own process, on the embedded runtime with scripted
models. The clients are in this process and speak lines of JSON.
"""

from __future__ import annotations

import argparse
import os

from benchmarks.limits.daemon import PACE, daemon
from benchmarks.limits.memory import growing, slow_readers
from benchmarks.limits.reactor import big_messages, busy_clients, connecting
from benchmarks.limits.turns import cancelling, refusing
from benchmarks.tables import Row, loads, machine, table


def main() -> None:
    """Print the table and describe the machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="only see whether everything runs")
    quick = parser.parse_args().quick
    patience = 1 if quick else 30
    rows: list[Row] = []
    before = os.getloadavg()[0]
    with daemon("--max-clients=1100", f"--unread-timeout={patience}") as running:
        rows += cancelling(running, 3 if quick else 200)
        rows += refusing(running, 10 if quick else 1000)
        rows += connecting(running, 20 if quick else 1000)
        rows += busy_clients(running, 5 if quick else 100, 0.3 if quick else 8)
        rows += big_messages(running, 0.01 if quick else 1)
        rows += growing(running, 1 if quick else 20)
        rows += slow_readers(running, 2 if quick else 50, 0.3 if quick else 9, patience)
    print(f"{machine()}; {loads(before)};")
    print(f"embedded runtime, {PACE} ms per token where tokens are counted.\n")
    print(table(rows))


if __name__ == "__main__":
    main()
