"""How many boards a fleet carries: python -m benchmarks.fleet.simulation.

1 to 200 light boards and 200 clients at a real router and a real front. What is measured is the
processor time of router and front for each call, token and board; fleets that do not fit on this
machine follow from it by arithmetic. The page is written to docs/performance/fleet.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fleet.light_boards import MODEL
from benchmarks.fleet.page import TOKENS_S, Step, overload, page
from benchmarks.processes import (
    accepts,
    ending,
    environment,
    processor_times,
    resident,
    spent_since,
    wait_for,
)
from benchmarks.tables import loads, machine
from rkllm_twisted.blocking import Client, Unreachable
from rkllm_twisted.cli.demo_fleet import free_port
from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.router_config import RouterSettings, write
from rkllm_twisted.fleet.values import Role
from rkllm_twisted.fleet_service.retries import Cause, counts

BOARDS = (1, 3, 10, 30, 100, 200)
CALLERS = 200
SECONDS = 5.0
#: Tokens in a second, of all boards together, that this machine carries beside its other work.
CARRIED = 400
PAGE = Path(__file__).parents[2] / "docs" / "performance" / "fleet.md"


class Simulation:
    """A router, a front, and more and more boards.

    :param enter: begins what ends with the simulation.
    """

    def __init__(self, home: Path, crossbar: str, enter: Any) -> None:
        self._home, self._enter, self._names = home, enter, 0
        self._router = home / "router.sock"
        write(home / "router", RouterSettings(home / "keys", free_port(), socket=self._router))
        node = str(home / "router" / ".crossbar")
        self._crossbar = self._process("router", crossbar, "start", "--cbdir", node)
        wait_for(lambda: accepts(self._router))
        self._socket = home / "front.sock"
        self._key("front", Role.FRONT)
        run = "from twisted.scripts.twistd import run; run()"
        self._front = self._process(
            *("front", sys.executable, "-c", run, "--nodaemon", "--pidfile=", "rkllm-fleet"),
            *(f"--router=unix:{self._router}", "--name=front", f"--key={home / 'front.key'}"),
            *(f"--socket={self._socket}", f"--model={MODEL}", "--log-level=warn"),
            *(f"--queue={4 * CALLERS}", f"--max-clients={2 * CALLERS}"),
            f"--max-clients-per-user={2 * CALLERS}",
        )
        self._pids = (self._crossbar, self._front)

    def _process(self, name: str, *command: str) -> int:
        with (self._home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
        self._enter(ending(process))
        return process.pid

    def _key(self, name: str, role: Role) -> None:
        public = keys.make(self._home / f"{name}.key")
        (self._home / "keys" / role.value / name).write_text(f"{public}\n")

    def grow(self, count: int) -> float:
        """Start boards in one more process; return the router's milliseconds for each."""
        more = [f"b{number}" for number in range(self._names, count)]
        for name in more:
            self._key(name, Role.BOARD)
        before = processor_times(self._crossbar)
        module = "benchmarks.fleet.light_boards"
        command = [sys.executable, "-m", module, f"unix:{self._router}", str(self._home), *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._enter(ending(process))
        assert process.stdout is not None
        self._enter(closing(process.stdout))
        assert process.stdout.readline() == "joined\n"
        self._names = count
        wait_for(lambda: self._free() == count)
        return 1000 * spent_since(before, self._crossbar) / len(more)

    def _fleet(self) -> Any:
        with Client(str(self._socket)) as client:
            return client.call("server.status")["fleet"]

    def _free(self) -> int:
        try:
            return int(self._fleet()["free"])
        except Unreachable:
            return -1  # it starts

    def _again(self) -> int:
        """Return how many runs the front has made again because a connection was lost."""
        return sum(self._fleet()["retries"][cause.value] for cause in Cause if counts(cause))

    def measure(self, boards: int) -> Step:
        """Measure with so many boards."""
        join_ms = self.grow(boards)
        idle = self._idle()
        calls, call_ms = self._ask(CALLERS, SECONDS, "1 0", "runs")
        pace_ms = max(1000 // TOKENS_S, 1000 * boards // CARRIED)
        played = f"{int(SECONDS * 1000 / pace_ms)} {pace_ms}"
        streams, token_ms = self._ask(boards, 0.0, played, "tokens", idle, call_ms)
        mb = resident(self._crossbar)
        return Step(boards, join_ms, mb, idle, calls, call_ms, streams, token_ms)

    def _idle(self) -> tuple[float, float]:
        """Return the milliseconds of router and front in each second without calls."""
        before = [processor_times(pid) for pid in self._pids]
        time.sleep(SECONDS)  # what is measured is the time itself
        router, front = (
            1000 * spent_since(start, pid) / SECONDS
            for start, pid in zip(before, self._pids, strict=True)
        )
        return router, front

    def _ask(
        self,
        callers: int,
        seconds: float,
        plays: str,
        what: str,
        idle: tuple[float, float] = (0.0, 0.0),
        call_ms: tuple[float, float] = (0.0, 0.0),
    ) -> tuple[dict[str, Any], tuple[float, float]]:
        """Ask, and return what came of it, with the milliseconds of router and front for each.

        :param idle: the milliseconds in each second that do not count.
        :param call_ms: those of each run that do not count.
        """
        command = [sys.executable, "-m", "benchmarks.fleet.callers", str(self._socket)]
        wait_for(lambda: self._free() == self._names)  # all, if connections were lost before
        again = self._again()
        before = [processor_times(pid) for pid in self._pids]
        done = subprocess.run(
            [*command, str(callers), str(seconds), plays],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=300,
        )
        figures: dict[str, Any] = json.loads(done.stdout)
        figures["again"] = self._again() - again
        router, front = (
            (1000 * spent_since(start, pid) - rest * figures["seconds"] - call * figures["runs"])
            / max(1, figures[what])
            for start, pid, rest, call in zip(before, self._pids, idle, call_ms, strict=True)
        )
        return figures, (router, front)


@contextmanager
def simulation(crossbar: str) -> Iterator[Simulation]:
    """Run a router and a front for the time of a context."""
    with tempfile.TemporaryDirectory(prefix="rkllm-sim-") as name, ExitStack() as ends:
        yield Simulation(Path(name), crossbar, ends.enter_context)


def main(crossbar: str) -> None:
    """Measure, and write the page; what an overloaded machine shows is no figure."""
    before = os.getloadavg()[0]
    steps = []
    with simulation(crossbar) as fleet:
        for boards in BOARDS:
            steps.append(fleet.measure(boards))
            print(steps[-1], flush=True)
            for figures in (steps[-1].calls, steps[-1].streams):
                if why := overload(figures):
                    print(f"{boards} boards: {why}; measure again at rest", flush=True)
    PAGE.write_text(page(steps, CALLERS, f"{machine()}, {loads(before)}"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv-crossbar/bin/crossbar")
