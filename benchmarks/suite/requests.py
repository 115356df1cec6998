"""What a request costs: one that is logged, one that is refused, and those of a long queue."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import attrs

from benchmarks.clients import Client, clients
from benchmarks.processes import processor_time, wait_for
from benchmarks.suite.bench import PROCESS, RELAY, Bench, init
from benchmarks.suite.contenders import DaemonCommand, Server, daemon, relay, running
from benchmarks.suite.ratios import Row, in_turns

#: Requests a second: fewer than the lines that the log writes in one.
PACE = 900
#: Requests of each client in the long queue.
EACH = 10
#: How often a client asks for the status of the long queue.
LOOKS = 50


@attrs.frozen
class Request:
    """A request whose cost is measured.

    :param log: the level of the log of the daemon that is asked.
    """

    log: str
    method: str
    params: object = None


PING = "a ping"
#: The first is logged at the level debug, and the others at info.
REQUESTS: Mapping[str, Request] = {
    PING: Request("info", "server.ping"),
    "an unknown method": Request("info", "server.pong"),
    "a logged request": Request("info", "$/cancelRequest", {"id": "none"}),
    "the same request, not logged": Request("error", "$/cancelRequest", {"id": "none"}),
}
#: What a request may cost, in how many times another one's processor time.
COMPARED = {"an unknown method": PING, "a logged request": "the same request, not logged"}
MOST = 1.4


def requests(bench: Bench) -> list[Row]:
    """Measure the processor time of requests that come one after another at a pace."""
    with contextlib.ExitStack() as stack:
        found: dict[str, list[float]] = {name: [] for name in REQUESTS}
        servers: dict[str, tuple[Server, Client]] = {}
        for log in sorted({request.log for request in REQUESTS.values()}):
            path = bench.directory / f"{log}.sock"
            command = daemon(PROCESS, f"--log-level={log}")
            server = stack.enter_context(running(command, bench.programs.directory, path))
            [client] = stack.enter_context(clients(path, 1))
            servers[log] = server, client
        measures = {
            name: partial(_cost, *servers[request.log], request, bench.size.seconds)
            for name, request in REQUESTS.items()
        }
        path = bench.directory / f"{RELAY}.sock"
        server = stack.enter_context(running(relay, bench.programs.directory, path))
        [client] = stack.enter_context(clients(path, 1))
        measures[RELAY] = partial(_cost, server, client, REQUESTS[PING], bench.size.seconds)
        found = in_turns(measures, bench.size.turns)["cost"]
    # The relay says yes to whatever is asked: to all requests in the time of a ping.
    rows = [
        Row(
            f"processor time of {name}",
            "µs",
            {PROCESS: found[name], RELAY: found[RELAY]},
            more_is_better=False,
        )
        for name in REQUESTS
    ]
    for name, other in COMPARED.items():
        ratios = [ours / theirs for ours, theirs in zip(found[name], found[other], strict=True)]
        title = f"{name}: of {other}"
        rows.append(Row(title, "×", {PROCESS: ratios}, more_is_better=False, limit=MOST))
    return rows


def _cost(server: Server, client: Client, request: Request, seconds: float) -> Mapping[str, float]:
    count, before, due = max(1, int(PACE * seconds)), processor_time(server.pid), time.monotonic()
    for _ in range(count):
        client.send(request.method, request.params)
        client.answer()
        due += 1 / PACE
        time.sleep(max(0.0, due - time.monotonic()))
    return {"cost": (processor_time(server.pid) - before) / count * 1e6}


def long_queue(bench: Bench) -> list[Row]:
    """Measure what a call costs while a queue grows to ten times the clients, and the status."""
    measures = {name: partial(_queued, bench, each) for name, each in bench.isolated.items()}
    found = in_turns(measures, bench.size.turns)
    many = f"{EACH * bench.size.crowd:,}"
    titles = {
        "first": ("processor time of a call for the queue, the first tenth", "µs", None),
        "last": (f"processor time of a call for the queue, the last tenth of {many}", "µs", None),
        "growth": ("the last tenth: of the first", "×", 1.25),
        "dearest": ("the dearest tenth: of the first", "×", 1.5),
        "status": (f"processor time of server.status, {many} calls in the queue", "ms", 1.0),
    }
    return [
        Row(title, unit, found[figure], more_is_better=False, limit=limit)
        for figure, (title, unit, limit) in titles.items()
    ]


def _queued(bench: Bench, command: DaemonCommand) -> Mapping[str, float]:
    path, crowd = bench.directory / "queue.sock", bench.size.crowd
    options = (f"--queue={EACH * crowd + 1}", f"--max-requests={EACH + 1}", "--log-level=error")
    with (
        running(command(*options), bench.programs.directory, path) as server,
        clients(path, 2) as [first, looker],
        clients(path, crowd) as waiting,
    ):
        _begin(first, looker, bench.model)
        each = [_enqueued(server, waiting, number) for number in range(EACH)]
        before = processor_time(server.pid)
        for _ in range(LOOKS):
            status = looker.ask("server.status")
        spent = processor_time(server.pid) - before
        assert status["queue_length"] == EACH * crowd, status
    return {
        "first": each[0],
        "last": each[-1],
        "growth": each[-1] / each[0],
        "dearest": max(each) / each[0],
        "status": spent / LOOKS * 1e3,
    }


def _begin(first: Client, looker: Client, model: Path) -> None:
    """Begin a run that takes for ever."""
    init(first, model)
    first.run("for ever")
    wait_for(lambda: looker.ask("server.status")["state"] == "running")


def _enqueued(server: Server, waiting: list[Client], number: int) -> float:
    """Have each client call once; return the microseconds that a call takes."""
    before = processor_time(server.pid)
    for client in waiting:
        client.run("x", request_id=100 + number)
    for client in waiting:
        client.ask("server.ping")  # its answer comes when the call is in the queue
    return (processor_time(server.pid) - before) / len(waiting) * 1e6
