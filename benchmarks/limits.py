"""What the daemon's limits hold to, as a Markdown table: ``python benchmarks/limits.py``.

A daemon with its defaults runs in a process of its own, on the embedded runtime with scripted
models; the clients are in this one and speak lines of JSON. The daemon is a real one with one thing
added: something that ticks every millisecond in its reactor and remembers how late each tick came.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import reactor as installed_reactor
from twisted.internet.protocol import Factory, Protocol

from rkllm_twisted.tap import Options, makeService

reactor: Any = installed_reactor  # its type depends on the platform
PATIENCE = 60.0
#: Milliseconds per token where a model's pace matters, and of the model that is cancelled.
PACE, SLOW = 1, 20
SCRIPT = f"""#!rkllm-script 1
run when "slow"
delay {SLOW}
repeat 1000000 token "x"
run when "pace"
delay {PACE}
repeat 1000000 token "x"
run when "burst"
repeat 2500 token "x"
run
token "ok"
"""
KIB = 1024


def percentile(values: list[float], share: float) -> float:
    """The value that so many do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(seconds: list[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    return f"{1000 * percentile(seconds, 0.5):.2f} / {1000 * percentile(seconds, 0.99):.2f} ms"


# The daemon


def serve(directory: Path, arguments: list[str]) -> None:
    """Be the daemon, and tell how late the ticks came to whoever connects to a second socket."""
    options = Options()
    options.parseOptions([f"--socket={directory / 'sock'}", "--library=cpu", *arguments])
    service: Any = makeService(options, reactor)
    late = array("d")  # no objects for the garbage collector to look at

    def tick(due: float, spent: float) -> None:
        now, spent_now = time.monotonic(), time.thread_time()
        late.extend((now - due, spent_now - spent))
        reactor.callLater(0.001, tick, now + 0.001, spent_now)

    class Ticks(Protocol):
        """Tells and forgets."""

        def connectionMade(self) -> None:
            self.transport.write(late.tobytes())
            self.transport.loseConnection()
            del late[:]

    reactor.listenUNIX(str(directory / "ticks"), Factory.forProtocol(Ticks))
    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    tick(time.monotonic(), time.thread_time())
    reactor.run()


class Client:
    """A connection that speaks lines."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")

    def send(self, method: str, params: object = None, request_id: int = 1) -> None:
        """Send a request."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def answer(self) -> Any:
        """The next message."""
        return json.loads(self._file.readline())

    def ask(self, method: str, params: object = None) -> Any:
        """Send a request and wait for its answer."""
        self.send(method, params)
        return self.answer()

    def run(self, prompt: str, method: str = "rkllm.run", request_id: int = 1) -> None:
        """Send a run."""
        self.send(method, {"rkllm_input": {"prompt_input": prompt}}, request_id)

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self.socket.close()


@attrs.frozen
class Daemon:
    """The daemon, seen from its clients."""

    directory: Path
    process: subprocess.Popen[bytes]

    def connect(self) -> Client:
        """A new connection."""
        return Client(self.directory / "sock")

    @contextlib.contextmanager
    def clients(self, count: int) -> Iterator[list[Client]]:
        """Some connections, closed at the end; all the daemon's work for them is over then."""
        clients = [self.connect() for _ in range(count)]
        yield clients
        for client in clients:
            client.close()
        self.until(lambda status: status["clients"] == 1 and not status["running"])

    def until(self, condition: Callable[[Any], object]) -> None:
        """Wait until the status is so."""
        client = self.connect()
        deadline = time.monotonic() + PATIENCE
        while not condition(status := client.ask("server.status")["result"]):
            if time.monotonic() > deadline:
                sys.exit(f"The daemon does not get there: {status}")
            time.sleep(0.002)
        client.close()

    def load(self) -> None:
        """Load the scripted model."""
        model = self.directory / "bench.script"
        model.write_text(SCRIPT)
        client = self.connect()
        param = {"model_path": str(model), "max_new_tokens": 1_000_000}
        assert client.ask("rkllm.init", {"param": param})["result"]["success"]
        client.close()

    def ticks(self) -> list[tuple[float, float]]:
        """How late each tick came since the last time, and the reactor's own time before it."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.directory / "ticks"))
            data = b"".join(iter(lambda: link.recv(1 << 16), b""))
        numbers = array("d", data)
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def descriptors(self) -> int:
        """Open files; a connection that has just been closed may not have been noticed yet."""
        counts = []
        for _ in range(20):
            counts.append(len(os.listdir(f"/proc/{self.process.pid}/fd")))  # noqa: PTH208
            time.sleep(0.01)
        return min(counts)


@contextlib.contextmanager
def daemon(*arguments: str) -> Iterator[Daemon]:
    """Start one with a model loaded, and stop it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = [sys.executable, __file__, "--serve", name, *arguments]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + PATIENCE
            while not (directory / "sock").exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit((directory / "log").read_text())
                time.sleep(0.01)
            running = Daemon(directory, process)
            running.load()
            yield running
        finally:
            process.terminate()
            process.wait(PATIENCE)


# The figures

Row = tuple[str, str, str, bool]


def row(what: str, measured: str, target: str, met: bool) -> Row:
    """A line of the table."""
    return what, measured, target, met


def cancelling(daemon: Daemon, times: int) -> list[Row]:
    """From a cancel, or a disconnect, to the first token of the run that waits behind."""
    rows = []
    allowed = (SLOW + 20) / 1000
    for leaves in (False, True):
        spent = []
        with daemon.clients(1) as [waiting]:
            for _ in range(times):
                running = daemon.connect()
                running.run("slow", "rkllm.run_async")
                running.answer()
                waiting.run("next", "rkllm.run_async")
                waiting.send("server.ping", None, 2)
                while waiting.answer()["id"] != 2:
                    pass  # the run is queued for certain
                time.sleep(random.random() * SLOW / 1000)
                begun = time.monotonic()
                if leaves:
                    running.close()
                else:
                    running.send("$/cancelRequest", {"id": 1}, 3)
                waiting.answer()
                spent.append(time.monotonic() - begun)
                while waiting.answer()["result"]["_callback_state"] < 2:
                    pass
                running.close()
        what = "client leaves" if leaves else "cancel"
        good = percentile(spent, 0.99) <= allowed
        target = f"p99 ≤ one token ({SLOW} ms) + 20 ms"
        rows.append(
            row(f"{what} → first token of the next run, p50 / p99", spread(spent), target, good)
        )
    return rows


def refusing(daemon: Daemon, times: int) -> list[Row]:
    """How long a client waits to hear that the queue is full."""
    spent, refused = [], 0
    with daemon.clients(10) as [last, *clients]:
        for request_id in range(8):
            for client in clients:
                client.run("slow", "rkllm.run_async", request_id)
        daemon.until(lambda status: status["queue_length"] == 64)
        for _ in range(times):
            begun = time.monotonic()
            last.run("hi")
            refused += last.answer()["error"]["code"] == -32002
            spent.append(time.monotonic() - begun)
    good = percentile(spent, 0.99) <= 0.005 and refused == times
    measured = f"{spread(spent)}; {refused} of {times} answered"
    return [row("refusal at a full queue, p50 / p99", measured, "p99 ≤ 5 ms, all answered", good)]


def pace(client: Client, seconds: float, others: Callable[[], None] = lambda: None) -> float:
    """Tokens per second of a stream, while others do as they like."""
    client.run("pace", "rkllm.run_async")
    client.answer()
    begun, tokens = time.monotonic(), 0
    client.socket.setblocking(False)
    while time.monotonic() < begun + seconds:
        with contextlib.suppress(BlockingIOError):
            tokens += client.socket.recv(1 << 16).count(b"\n")
        others()
    return tokens / (time.monotonic() - begun)


def one_stream(daemon: Daemon, seconds: float, others: Callable[[], None] = lambda: None) -> float:
    """The median of three such streams, each on a connection of its own."""
    rates = []
    for _ in range(3):
        client = daemon.connect()
        rates.append(pace(client, seconds / 3, others))
        client.close()
        daemon.until(lambda status: not status["running"])
    return percentile(rates, 0.5)


def slow_readers(daemon: Daemon, count: int, seconds: float, patience: float) -> list[Row]:
    """Clients that begin a stream and never read."""
    rows = []
    with daemon.clients(2 * count) as clients:
        for client in clients:  # one that reads first: its share is no slow reader's
            client.ask("server.ping")
        warm, deaf = clients[:count], clients[count:]
        for client in warm:
            client.run("hi")
            client.answer()
        alone = one_stream(daemon, seconds)
        before = daemon.memory()
        for client in deaf:
            client.run("burst", "rkllm.run_async")
            daemon.until(lambda status: not status["running"])
        ended = time.monotonic()
        each = (daemon.memory() - before) / count
        beside = one_stream(daemon, seconds)
        daemon.until(lambda status: status["clients"] == count + 1)
        gone = time.monotonic() - ended
    good = each <= 1024 * KIB
    rows.append(
        row(f"memory per slow reader, of {count}", f"{each / KIB:.0f} KiB", "≤ 1 MiB", good)
    )
    ratio = beside / alone
    measured = f"{100 * ratio:.1f} % ({beside:.0f} and {alone:.0f})"
    rows.append(
        row("another's tokens/s beside them and without", measured, "± 5 %", abs(ratio - 1) <= 0.05)
    )
    what = "all slow readers are dropped, after the last one's stream"
    rows.append(row(what, f"{gone:.1f} s", f"≤ {patience:g} s (+ 1)", gone <= patience + 1))
    return rows


def growing(daemon: Daemon, thousands: int) -> list[Row]:
    """What is left of requests; a new connection for every hundred."""

    def some(count: int) -> None:
        for _ in range(count // 100):
            client = daemon.connect()
            for _ in range(50):
                client.ask("server.ping")
                client.run("hi")
                client.answer()
            client.close()
        daemon.until(lambda status: status["clients"] == 1)

    some(max(1000, 300 * thousands))  # until caches and arenas have their size
    memory, files = daemon.memory(), daemon.descriptors()
    some(1000 * thousands)
    growth = (daemon.memory() - memory) / KIB / thousands
    files = daemon.descriptors() - files
    measured = f"{growth:.2f} KiB; {files} descriptors"
    good = growth <= 1 and files <= 0
    return [
        row(f"growth per 1,000 requests, over {1000 * thousands:,}", measured, "≤ 1 KiB; 0", good)
    ]


class Busy:
    """Clients that send a ping each so many seconds, whether or not they were answered."""

    PING = b'{"jsonrpc":"2.0","id":1,"method":"server.ping"}\n'

    def __init__(self, clients: list[Client], pause: float, at_once: int = 1) -> None:
        self._clients = clients
        self._pause = pause / len(clients)
        self._message = self.PING * at_once
        self._next = 0
        self._due = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self.answers = 0
        for client in clients:
            client.socket.setblocking(False)
            self._selector.register(client.socket, selectors.EVENT_READ)

    def __call__(self) -> None:
        """Read what there is, and send what is due."""
        for key, _ in self._selector.select(0.0005):
            link = key.fileobj
            assert isinstance(link, socket.socket)
            self.answers += link.recv(1 << 16).count(b"\n")
        while self._due <= time.monotonic():
            with contextlib.suppress(BlockingIOError):  # it is not read any faster
                self._clients[self._next].socket.send(self._message)
            self._next = (self._next + 1) % len(self._clients)
            self._due += self._pause


LOADS = {
    "10 pings/s each": (0.1, 1),
    "as many as they can": (0.1, 100),
}


def busy_clients(daemon: Daemon, count: int, seconds: float) -> list[Row]:
    """How punctual the reactor is, and how fast a stream, beside busy clients."""
    rows = []
    with daemon.clients(count) as clients:
        for client in clients:
            client.ask("server.ping")
        daemon.ticks()
        alone = one_stream(daemon, seconds)
        rows.append(stall("one stream and nobody else", daemon.ticks()))
        for name, (pause, at_once) in LOADS.items():
            busy = Busy(clients, pause, at_once)
            begun = time.monotonic()
            rate = one_stream(daemon, seconds, busy)
            asked = busy.answers / (time.monotonic() - begun)
            rows.append(stall(f"{count} clients, {name} ({asked:.0f} answers/s)", daemon.ticks()))
            measured = f"{100 * rate / alone:.0f} % ({rate:.0f} and {alone:.0f})"
            rows.append(row(f"tokens/s beside {count} clients, {name}", measured, "", True))
    return rows


#: What is expensive to read, each about as long as a message may be.
BIG = {"numbers": (b"1,", 30_000_000), "escapes": (b'"\\n\\n",', 7_000_000)}


def big_messages(daemon: Daemon, share: float) -> list[Row]:
    """How punctual the reactor is while it has a big message read."""
    rows = []
    for name, (piece, count) in BIG.items():
        pieces = piece * int(count * share)
        message = b'{"jsonrpc":"2.0","id":1,"method":"server.ping","params":[%b1]}\n' % pieces
        with daemon.clients(1) as (client,):
            client.ask("server.ping")
            daemon.ticks()
            client.socket.sendall(message)
            assert "error" in client.answer()
        rows.append(stall(f"a message of {len(message) >> 20} MiB of {name}", daemon.ticks()))
    return rows


def stall(beside: str, ticks: list[tuple[float, float]]) -> Row:
    """How late the reactor was; by the clock, and what it did itself in that time."""
    late, own = ([tick[which] for tick in ticks] for which in (0, 1))
    p99, most = percentile(late, 0.99), max(late)
    itself = f"{1000 * percentile(own, 0.99):.1f} / {1000 * max(own):.1f}"
    measured = f"{1000 * p99:.1f} / {1000 * most:.1f} ms (its own time: {itself})"
    good = p99 <= 0.005 and most <= 0.05
    return row(f"reactor late, p99 / max: {beside}", measured, "p99 ≤ 5 ms, max ≤ 50 ms", good)


def connecting(daemon: Daemon, count: int) -> list[Row]:
    """From connect() to the first answer, while all the others stay."""
    spent = []
    with daemon.clients(0):
        clients = []
        for _ in range(count):
            begun = time.monotonic()
            clients.append(daemon.connect())
            clients[-1].ask("server.ping")
            spent.append(time.monotonic() - begun)
        for client in clients:
            client.ask("server.ping")
            client.close()
    good = percentile(spent, 0.99) <= 0.001
    what = f"connect and first answer, p50 / p99, {count:,} at once"
    return [row(what, spread(spent), "p99 ≤ 1 ms, 0 failures", good)]


def table(rows: list[Row]) -> str:
    """Write Markdown."""
    lines = ["| what | measured | target | met |", "|---|---|---|---|"]
    for what, measured, target, met in rows:
        lines.append(
            f"| {what} | {measured} | {target} | {('yes' if met else '**no**') if target else ''} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and on what it was measured."""
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
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    load = " and ".join(f"{each:.1f}" for each in (before, os.getloadavg()[0]))
    print(f"{machine}; load average {load} before and after;")
    print(f"embedded runtime, {PACE} ms per token where tokens are counted.\n")
    print(table(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
