"""The daemon's start-up time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.clients import clients
from benchmarks.processes import resident
from benchmarks.suite.bench import PROCESS, THREAD, Bench
from benchmarks.suite.contenders import CONTENDERS, ECHO, daemon, running
from benchmarks.suite.ratios import Row, in_turns


def start_up(bench: Bench) -> list[Row]:
    """Measure from the start of the process until it accepts connections."""

    def ready(name: str) -> Mapping[str, float]:
        command = CONTENDERS[ECHO].command if name == ECHO else daemon(name)
        path = bench.directory / "start.sock"
        with running(command, bench.programs.directory, path) as server:
            return {"ready": 1000 * server.ready}

    names = (PROCESS, THREAD, ECHO)
    found = in_turns({name: partial(ready, name) for name in names}, bench.size.turns)
    return [Row("start until it accepts", "ms", found["ready"], more_is_better=False, limit=400.0)]


def memory(bench: Bench) -> list[Row]:
    """Measure the resident memory of a new daemon and its child, idle and with clients."""

    def measure(isolation: str) -> Mapping[str, float]:
        path = bench.directory / "memory.sock"
        found = {}
        with running(daemon(isolation), bench.programs.directory, path) as server:
            with clients(path, 1) as [client]:
                client.ask("rkllm.createDefaultParam")  # the child answers this, so it has started
            found["idle"] = resident(server.pid)
            for count in (100, 1000):
                with clients(path, min(count, bench.size.crowd)):
                    found[f"{count:,} clients"] = resident(server.pid)
        return found

    measures = {name: partial(measure, name) for name in (PROCESS, THREAD)}
    found = in_turns(measures, bench.size.turns)
    return [
        Row(
            f"resident, {what}",
            "MB",
            values,
            more_is_better=False,
            limit=70.0 if what == "idle" else None,
        )
        for what, values in found.items()
    ]
