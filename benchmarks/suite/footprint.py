"""The daemon's start-up time and memory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from functools import partial

from benchmarks.clients import Client, clients
from benchmarks.processes import (
    MB,
    children,
    family,
    is_gone,
    proportional,
    resident,
    wait_for,
)
from benchmarks.suite.bench import PROCESS, THREAD, Bench, init
from benchmarks.suite.contenders import CONTENDERS, ECHO, daemon, running
from benchmarks.suite.ratios import Row, in_turns
from rkllm_twisted.cpu import demo_model


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


def loading(bench: Bench) -> list[Row]:
    """Measure from the moment when a new daemon accepts until it has loaded the bundled model."""

    def loaded(isolation: str) -> Mapping[str, float]:
        path = bench.directory / "loading.sock"
        with (
            running(daemon(isolation), bench.programs.directory, path),
            contextlib.closing(Client(path)) as client,
        ):
            begun = time.monotonic()
            init(client, demo_model())
            return {"loaded": 1000 * (time.monotonic() - begun)}

    measures = {name: partial(loaded, name) for name in (PROCESS, THREAD)}
    found = in_turns(measures, bench.size.turns)
    title = "from accepting to the bundled model loaded"
    return [Row(title, "ms", found["loaded"], more_is_better=False)]


def recovery(bench: Bench) -> list[Row]:
    """Measure from the kill of the runtime's process until a client has loaded the model again."""
    path = bench.directory / "recovery.sock"
    with (
        running(daemon(PROCESS), bench.programs.directory, path) as server,
        clients(path, 1) as [client],
    ):
        init(client, demo_model())

        def again() -> Mapping[str, float]:
            [child] = children(server.pid)
            begun = time.monotonic()
            os.kill(child, signal.SIGKILL)
            # Before, the daemon would unload the model of a process that is about to end.
            wait_for(lambda: is_gone(child))
            wait_for(lambda: client.ask("server.status")["state"] != "loaded")
            init(client, demo_model())
            return {"again": 1000 * (time.monotonic() - begun)}

        found = in_turns({PROCESS: again}, bench.size.turns)
    title = "from the kill of the runtime's process to the bundled model loaded again"
    return [Row(title, "ms", found["again"], more_is_better=False)]


def memory(bench: Bench) -> list[Row]:
    """Measure the memory of a new daemon and its child, idle and with clients.

    Of the proportional figure, a page that several processes share is a part.
    """

    def measure(isolation: str) -> Mapping[str, float]:
        path = bench.directory / "memory.sock"
        found = {}
        with running(daemon(isolation), bench.programs.directory, path) as server:
            with clients(path, 1) as [client]:
                client.ask("rkllm.createDefaultParam")  # the child answers this, so it has started
            found["resident, idle"] = resident(server.pid)
            found["proportional, idle"] = sum(map(proportional, family(server.pid))) / MB
            for count in (100, 1000):
                with clients(path, min(count, bench.size.crowd)):
                    found[f"resident, {count:,} clients"] = resident(server.pid)
        return found

    measures = {name: partial(measure, name) for name in (PROCESS, THREAD)}
    found = in_turns(measures, bench.size.turns)
    return [
        Row(
            what,
            "MB",
            values,
            more_is_better=False,
            limit=70.0 if what == "resident, idle" else None,
        )
        for what, values in found.items()
    ]
