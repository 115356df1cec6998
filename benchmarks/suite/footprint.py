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
from benchmarks.suite.bench import RELAY, THREAD, Bench, init
from benchmarks.suite.contenders import CONTENDERS, ECHO, Server, daemon, running
from benchmarks.suite.ratios import Row, in_turns
from rkllm_twisted.cpu import demo_model


def start_up(bench: Bench) -> list[Row]:
    """Measure from the start of the process until it accepts connections."""
    echo = {ECHO: CONTENDERS[ECHO].command} if bench.yardsticks else {}
    commands = {**bench.commands, **echo}

    def ready(name: str) -> Mapping[str, float]:
        path = bench.directory / "start.sock"
        with running(commands[name], bench.programs.directory, path) as server:
            return {"ready": 1000 * server.ready}

    found = in_turns({name: partial(ready, name) for name in commands}, bench.size.turns)
    return [Row("start until it accepts", "ms", found["ready"], more_is_better=False, limit=275.0)]


#: Loads in the daemon's own process: what the library and the file take.
OWN = "own"


def loading(bench: Bench) -> list[Row]:
    """Measure from the moment when a new daemon accepts until it has loaded the bundled model."""
    commands = {**bench.commands, OWN: daemon(THREAD)}

    def loaded(name: str) -> Mapping[str, float]:
        path = bench.directory / "loading.sock"
        with (
            running(commands[name], bench.programs.directory, path),
            contextlib.closing(Client(path)) as client,
        ):
            return {"first": _load(client), "later": _load(client)}

    measures = {name: partial(loaded, name) for name in commands}
    found = in_turns(measures, bench.size.turns)
    own = found["later"][OWN]
    total = {name: found["first"][name] for name in bench.commands}
    beyond = {
        name: [max(0.0, whole - part) for whole, part in zip(times, own, strict=True)]
        for name, times in total.items()
        if name != RELAY  # its library is loaded in another way
    }
    title = "from accepting to the bundled model loaded"
    return [
        Row(title, "ms", total, more_is_better=False),
        Row(f"{title}, beyond the library's time", "ms", beyond, more_is_better=False, limit=20.0),
    ]


def _load(client: Client) -> float:
    """Load the bundled model; return the milliseconds."""
    begun = time.monotonic()
    init(client, demo_model())
    return 1000 * (time.monotonic() - begun)


def recovery(bench: Bench) -> list[Row]:
    """Measure from the kill of the runtime's process until a client has loaded the model again."""
    with contextlib.ExitStack() as stack:
        measures = {}
        for name, command in bench.commands.items():
            if name == THREAD:
                continue  # its runtime has no process
            path = bench.directory / f"recovery-{name}.sock"
            server = stack.enter_context(running(command, bench.programs.directory, path))
            [client] = stack.enter_context(clients(path, 1))
            init(client, demo_model())
            measures[name] = partial(_again, server, client, has_status=name != RELAY)
        found = in_turns(measures, bench.size.turns)
    title = "from the kill of the runtime's process to the bundled model loaded again"
    return [Row(title, "ms", found["again"], more_is_better=False, limit=30.0)]


def _again(server: Server, client: Client, has_status: bool) -> Mapping[str, float]:
    [child] = children(server.pid)
    begun = time.monotonic()
    os.kill(child, signal.SIGKILL)
    # Before, the daemon would unload the model of a process that is about to end.
    wait_for(lambda: is_gone(child))
    if has_status:
        wait_for(lambda: client.ask("server.status")["state"] != "loaded")
    init(client, demo_model())
    return {"again": 1000 * (time.monotonic() - begun)}


def memory(bench: Bench) -> list[Row]:
    """Measure the memory of a new daemon and its child, idle and with clients.

    Of the proportional figure, a page that several processes share is a part.
    """

    def measure(name: str) -> Mapping[str, float]:
        path = bench.directory / "memory.sock"
        found = {}
        with running(bench.commands[name], bench.programs.directory, path) as server:
            with clients(path, 1) as [client]:
                client.ask("rkllm.createDefaultParam")  # the child answers this, so it has started
            found["resident, idle"] = resident(server.pid)
            found["proportional, idle"] = sum(map(proportional, family(server.pid))) / MB
            for count in () if name == RELAY else (100, 1000):
                with clients(path, min(count, bench.size.crowd)):
                    found[f"resident, {count:,} clients"] = resident(server.pid)
        return found

    measures = {name: partial(measure, name) for name in bench.commands}
    found = in_turns(measures, bench.size.turns)
    return [
        Row(
            what,
            "MB",
            values,
            more_is_better=False,
            limit=48.0 if what == "resident, idle" else None,
        )
        for what, values in found.items()
    ]
