"""What it costs and brings that the runtime has a process of its own, as a Markdown table.

``python benchmarks/isolation.py``. Daemons as twistd runs them, with ``--isolation`` process and
thread side by side, on the embedded runtime with scripted models; the clients are in this process.
A script's ``clock`` puts the time into each token, so that delays are from the runtime's callback
to the client's read, by one clock.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from limits import PATIENCE, Busy, Client, Row, percentile, row, spread, table

from rkllm_twisted.cpu import demo_model

MODES = ("process", "thread")
#: Milliseconds between two tokens: of a fast model on a board, and more than any gives.
PACE, HASTE = 10, 1
#: An embedding of 7 million floats, and logits of as many.
TOKENS, WIDTH, VOCAB = 1000, 7000, 152_000
CONTEXT = {".script": 4 * TOKENS, ".gguf": 512}
SCRIPT = f"""#!rkllm-script 1
context {CONTEXT[".script"]}
embd {WIDTH}
run when "pace"
delay {PACE}
clock 1000000
run when "haste"
delay {HASTE}
clock 1000000
run when "segv"
clock 1
segv
run when "abort"
clock 1
abort
run when "exit"
clock 1
exit 3
run when "hang"
clock 1
deaf
hang
run mode logits
logits {TOKENS * WIDTH // VOCAB} {VOCAB}
nofinish
run
token "ok"
"""
MIB = 2**20
CLIENTS = 100
PACES = {"pace": PACE, "haste": HASTE}
LOADS = {"10 pings/s each": (0.1, 1), "as many as they can": (0.1, 100)}
EMBED_INPUT, LOGITS = 2, 2


def processor_time(pid: int) -> float:
    """Seconds that a process has had of a processor, all its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def proportional(pid: int) -> int:
    """Bytes of memory, those that are shared by their share."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("\nPss:")[2].split()[0]) * 1024


def is_gone(pid: int) -> bool:
    """Has a process ended? One that waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(what: Callable[[], object]) -> float:
    """Wait until it is so; how long that took."""
    begun = time.monotonic()
    while not what():
        if time.monotonic() - begun > PATIENCE:
            sys.exit("It does not come about.")
        time.sleep(0.001)
    return time.monotonic() - begun


@attrs.frozen
class Daemon:
    """A daemon, seen from its clients."""

    mode: str
    directory: Path
    process: subprocess.Popen[bytes]

    def connect(self) -> Client:
        """A new connection."""
        return Client(self.directory / "sock")

    def children(self) -> list[int]:
        """The runtime's process, where it has one."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

    def settle(self) -> None:
        """Wait until all that makes a daemon is there."""
        wait_for(lambda: (self.directory / "sock").exists() or self.process.poll() is not None)
        wait_for(lambda: len(self.children()) == (self.mode == "process"))

    def memory(self) -> int:
        """Bytes of the daemon and its child, when a child that has just started has its size."""
        time.sleep(1)
        return sum(map(proportional, (self.process.pid, *self.children())))

    def load(self, model: Path | None = None) -> Client:
        """Load a model, the script unless told otherwise; the connection that did it."""
        client = self.connect()
        if model is None:
            model = self.directory / "bench.script"
            model.write_text(SCRIPT)
        param = {
            "model_path": str(model),
            "max_new_tokens": 0,
            "max_context_len": CONTEXT[model.suffix],
        }
        assert client.ask("rkllm.init", {"param": param})["result"]["success"]
        return client

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End it; how long that took."""
        begun = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        return time.monotonic() - begun


@contextlib.contextmanager
def daemon(mode: str) -> Iterator[Daemon]:
    """Start one, and stop it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        options = [
            "--library=cpu",
            "--max-clients=200",
            f"--isolation={mode}",
            f"--socket={directory / 'sock'}",
        ]
        command = [*twistd, "--nodaemon", "--pidfile=", "rkllm", *options]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
        running = Daemon(mode, directory, process)
        try:
            running.settle()
            yield running
        finally:
            running.stop()


@contextlib.contextmanager
def two_daemons() -> Iterator[dict[str, Daemon]]:
    """One of each, with the model loaded."""
    with daemon("process") as process, daemon("thread") as thread:
        both = {"process": process, "thread": thread}
        for running in both.values():
            running.load().close()
        yield both


# Tokens


@attrs.frozen
class Stream:
    """What a client has seen of a stream.

    :param late: seconds from the callback to the client's read, of each token.
    :param rate: tokens per second, by the runtime's clock.
    """

    late: list[float]
    rate: float


def stream(
    running: Daemon, prompt: str, seconds: float, others: Callable[[], None] | None = None
) -> Stream:
    """Read tokens for a while, and leave."""
    client = running.connect()
    client.run(prompt, "rkllm.run_async")
    rest = client.socket.recv(1 << 16).rpartition(b"\n")[2]  # the first is late for other reasons
    if others is not None:
        client.socket.setblocking(False)
    late, made = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if others is not None:
            others()
        with contextlib.suppress(BlockingIOError):
            *lines, rest = (rest + client.socket.recv(1 << 16)).split(b"\n")
            now = time.monotonic_ns()
            for line in lines:
                if b'"text":"' not in line or b'"text":""' in line:
                    sys.exit(f"That is no token: {line!r}")
                made.append(int(line.partition(b'"text":"')[2].partition(b'"')[0]))  # in µs
                late.append(now / 1e9 - made[-1] / 1e6)
    client.close()
    wait_for(lambda: not is_running(running))
    return Stream(late, 1e6 * (len(made) - 1) / (made[-1] - made[0]))


def is_running(running: Daemon) -> bool:
    """Is there a run under way?"""
    client = running.connect()
    state = client.ask("server.status")["result"]["state"]
    client.close()
    return bool(state == "running")


@contextlib.contextmanager
def real_time() -> Iterator[str]:
    """Go before everything else on the machine, with what is started meanwhile, where one may."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        yield ""
        return
    try:
        yield ", real-time"
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def lateness(times: int, seconds: float) -> list[Row]:
    """Compare how late tokens come, in turns. Others' turns at a processor are not our delay."""
    late: dict[str, list[float]] = {mode: [] for mode in MODES}
    with real_time() as how, two_daemons() as both:
        for _ in range(times):
            for mode, running in both.items():
                late[mode] += stream(running, "pace", seconds).late
    rows = [
        row(f"callback → client's read, p50 / p99, {mode} ({len(late[mode])} tokens{how})",
            spread(late[mode]), "", True)
        for mode in MODES
    ]  # fmt: skip
    more = [percentile(late["process"], p) - percentile(late["thread"], p) for p in (0.5, 0.99)]
    measured = f"{1000 * more[0]:.2f} / {1000 * more[1]:.2f} ms"
    return [
        *rows,
        row("added by the process, p50 / p99", measured, "p99 < 1 ms", more[1] < 0.001),
    ]


def paces(both: dict[str, Daemon], count: int, times: int, seconds: float) -> list[Row]:
    """How fast the runtime is beside busy clients, in turns with nobody there."""
    rows = []
    for (prompt, pace), (mode, running) in itertools.product(PACES.items(), both.items()):
        rates: dict[str, list[float]] = {name: [] for name in ("", *LOADS)}
        for name in [*rates] * times:
            clients = [running.connect() for _ in range(count)]
            busy = Busy(clients, *LOADS[name]) if name else None
            rates[name].append(stream(running, prompt, seconds, busy).rate)
            for client in clients:
                client.close()
        alone = percentile(rates[""], 0.5)
        for name in LOADS:
            rate = percentile(rates[name], 0.5)
            what = f"tokens/s at {pace} ms, {mode}, beside {count} clients, {name}"
            measured = f"{100 * rate / alone:.1f} % ({rate:.1f} and {alone:.1f})"
            rows.append(row(what, measured, "≥ 95 %", rate / alone >= 0.95))
    return rows


# Ends


def crashes(running: Daemon, times: int) -> list[Row]:
    """From the crash to the client's error."""
    rows = []
    for how in ("segv", "abort", "exit", "SIGKILL from outside"):
        spent = []
        for _ in range(times):
            client = running.load()
            client.run(how if len(how) < 6 else "hang", "rkllm.run_async")
            at = int(client.answer()["result"]["text"]) / 1e6
            if how.startswith("SIGKILL"):
                running.settle()  # the child before may not be gone yet
                at = time.monotonic()
                os.kill(running.children()[0], signal.SIGKILL)
            error = client.answer()["error"]
            spent.append(time.monotonic() - at)
            assert error["code"] == -32004, error
            client.close()
        worst = max(spent)
        measured = f"{1000 * percentile(spent, 0.5):.1f} / {1000 * worst:.1f} ms"
        what = f"crash → error at the client, p50 / max of {times}: {how}"
        rows.append(row(what, measured, "≤ 100 ms", worst <= 0.1))
    return rows


def ends() -> list[Row]:
    """How long it takes to stop a daemon."""
    rows = []
    for mode in MODES:
        with daemon(mode) as running:
            running.load().close()
            rows.append(shutdown(f"idle with a model, {mode}", running.stop(), 0.5))
        with daemon(mode) as running:
            client = running.load()
            client.run("pace", "rkllm.run_async")
            client.answer()
            rows.append(shutdown(f"amid an endless stream, {mode}", running.stop(), 12))
        with daemon(mode) as running:
            client = running.load()
            client.run("hang", "rkllm.run_async")
            client.answer()
            rows.append(shutdown(f"with a runtime that hangs, {mode}", running.stop(), 15))
    with daemon("process") as running:
        client = running.load()
        client.run("hang", "rkllm.run_async")
        client.answer()
        (child,) = running.children()
        running.stop(signal.SIGKILL)
        gone = wait_for(lambda: is_gone(child))
    what = "daemon killed → the runtime's process is gone, amid a call that hangs"
    rows.append(row(what, f"{1000 * gone:.0f} ms", "< 1 s", gone < 1))
    return rows


def shutdown(what: str, spent: float, most: float) -> Row:
    """Make a row."""
    return row(f"SIGTERM → exit: {what}", f"{spent:.2f} s", f"< {most:g} s", spent < most)


# Big things


def memory() -> list[Row]:
    """What the daemon and its child hold before a model, with one at work, and after."""
    rows = []
    for mode in MODES:
        with daemon(mode) as running:
            held = [running.memory()]
            old = running.children()
            client = running.load(demo_model())
            question = {"role": "user", "prompt_input": "What is a list?"}
            assert "result" in client.ask("rkllm.run", {"rkllm_input": question})
            held.append(running.memory())
            assert "result" in client.ask("rkllm.destroy")
            wait_for(lambda: is_gone(old[0]) if old else True)  # noqa: B023
            running.settle()
            held.append(running.memory())
            client.close()
        left = (held[2] - held[0]) / (held[1] - held[0])
        figures = " / ".join(f"{each / MIB:.1f}" for each in held)
        measured = f"{figures} MiB; {100 * left:.0f} % of the growth are left"
        what = f"memory before init, after a run of the bundled model, after destroy, {mode}"
        rows.append(row(what, measured, "", True))
    return rows


def crossing(both: dict[str, Daemon], times: int, tokens: int) -> list[Row]:
    """What an embedding costs on its way to C, and logits on their way back."""
    block = array("f", [number / 257 for number in range(WIDTH)]).tobytes() * tokens
    packed = {
        "base64": base64.b64encode(block).decode(),
        "dtype": "<f4",
        "shape": [tokens, WIDTH],
    }
    embed = {"input_type": EMBED_INPUT, "embed_input": {"embed": packed, "n_tokens": tokens}}
    ways: dict[str, dict[str, Any]] = {
        f"{tokens * WIDTH:,} floats to C": {"rkllm_input": embed},
        "as many logits back": {
            "rkllm_input": {"prompt_input": "x"},
            "rkllm_infer_params": {"mode": LOGITS},
        },
    }
    rows = []
    for what, params in ways.items():
        for mode, running in both.items():
            client = running.connect()
            client.ask("server.configure", {"floats": "base64"})
            pids = [running.process.pid, *running.children()]
            spent: list[list[float]] = []
            for _ in range(times + 1):
                before = [*map(processor_time, pids), time.monotonic()]
                assert "result" in client.ask("rkllm.run", params)
                after = [*map(processor_time, pids), time.monotonic()]
                spent.append([b - a for a, b in zip(before, after, strict=True)])
            client.close()
            medians = [1000 * percentile(list(each), 0.5) for each in zip(*spent[1:], strict=True)]
            in_child = f", child {medians[1]:.0f}" if mode == "process" else ""
            measured = f"daemon {medians[0]:.0f}{in_child}; in all {medians[-1]:.0f} ms"
            rows.append(row(f"{what}, {mode}: processor time", measured, "", True))
    return rows


def main() -> None:
    """Print the table, and on what it was measured."""
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
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; load average {load:.1f} before and {os.getloadavg()[0]:.1f} after.\n")
    print(table(rows))


if __name__ == "__main__":
    main()
