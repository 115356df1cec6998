"""What a fleet costs, beside the daemon's own socket: python -m benchmarks.fleet CROSSBAR.

Three real daemons with a scripted model that stamps its tokens with the clock, their bridges, a
router and a front. The way to the socket and the way through the fleet are measured by turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.tables import loads, machine, percentile, row, spread, table
from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.demo_fleet import BOARDS, start

PREFILL_MS, TOKENS, TOKEN_MS = 100, 40, 50
MODEL = f"""#!rkllm-script 1
run
prefill {PREFILL_MS}
delay {TOKEN_MS}
clock {TOKENS}
"""
ROUNDS = 5
WAITING = 30
#: Targets, in milliseconds and MB.
AGE_MS, FIRST_MS, MEMORY_MB, BUSY = 5.0, 20.0, 100.0, 0.95


def measured(path: str) -> tuple[float, float, list[float]]:
    """Make a run: the seconds to its first token and to its end, and the age of each token."""
    ages: list[float] = []
    with Client(path) as client:
        client.call("server.ping")
        began = time.monotonic()
        first = 0.0
        for result in client.stream("rkllm.run_async", [{"prompt_input": "Hello"}]):
            if result["text"]:
                ages.append(time.monotonic() - int(result["text"]) / 1e6)
                first = first or time.monotonic() - began
    return first, time.monotonic() - began, ages


def busy(path: str, one: float) -> float:
    """Return the share of the time for which all boards are busy, with thirty requests at once.

    :param one: the seconds that a run takes on a daemon's own socket.
    """

    def ask() -> None:
        with Client(path) as client:
            client.call("rkllm.run", [{"prompt_input": "Hello"}])

    began = time.monotonic()
    threads = [Thread(target=ask) for _ in range(WAITING)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return WAITING * one / len(BOARDS) / (time.monotonic() - began)


def resident(program: str, home: str) -> float:
    """Return the memory of a program's process, in MB."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_text().split("\0")
            pages = int((entry / "statm").read_text().split()[1])
        except OSError:
            continue
        if program in command and home in " ".join(command):
            return pages * os.sysconf("SC_PAGESIZE") / 1e6
    return float("nan")


def main(crossbar: str) -> None:
    """Measure, and print a table."""
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="rkllm-bench-") as name, ExitStack() as ends:
        home = Path(name)
        model = home / "clock.script"
        model.write_text(MODEL)
        front = start(home, crossbar, ends.enter_context, model)
        results: dict[str, list[Any]] = {"direct": [], "fleet": []}
        for _ in range(ROUNDS):
            for way, path in (("direct", f"{home}/b1.sock"), ("fleet", front)):
                results[way].append(measured(path))
        share = busy(front, percentile([whole for _, whole, _ in results["direct"]], 0.5))
        memory = {name: resident(name, str(home)) for name in ("rkllm-fleet", "rkllm-board")}
    first = {way: [one for one, _, _ in runs] for way, runs in results.items()}
    ages = {way: [age for _, _, run in runs for age in run] for way, runs in results.items()}
    added = 1000 * (percentile(ages["fleet"], 0.5) - percentile(ages["direct"], 0.5))
    later = 1000 * (percentile(first["fleet"], 0.5) - percentile(first["direct"], 0.5))
    rows = [
        row("age of a token, direct, p50 / p99", spread(ages["direct"])),
        row("age of a token, fleet, p50 / p99", spread(ages["fleet"])),
        row("added at p50", f"{added:.2f} ms", f"≤ {AGE_MS:g} ms", added <= AGE_MS),
        row("first token, direct, p50 / p99", spread(first["direct"])),
        row("first token, fleet, p50 / p99", spread(first["fleet"])),
        row("added at p50", f"{later:.1f} ms", f"≤ {FIRST_MS:g} ms", later <= FIRST_MS),
        row(f"boards busy, {WAITING} requests", f"{share:.1%}", f"≥ {BUSY:.0%}", share >= BUSY),
        *(
            row(f"memory of {name}", f"{mb:.0f} MB", f"≤ {MEMORY_MB:g} MB", mb <= MEMORY_MB)
            for name, mb in memory.items()
        ),
    ]
    print(f"\n{machine()}, {loads(before)}\n\n{table(rows)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv-crossbar/bin/crossbar")
