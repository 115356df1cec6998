"""Long tests for ``make soak``; $RKLLM_SOAK_SECONDS limits each."""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from daemons import Daemon, RawClient

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

SECONDS = float(os.environ.get("RKLLM_SOAK_SECONDS", "20"))
#: Growth that is noise of the allocator and not a leak, over the second half of a soak.
NOISE_KIB = 1024
#: ``--max-unread-total`` by default, and half as much again for what is in the making.
UNREAD_KIB = 192 * 1024
CORPUS = [
    b'{"jsonrpc":"2.0","id":1,"method":"server.ping"}\n',
    b'47:{"jsonrpc":"2.0","id":1,"method":"server.ping"},',
    b'[{"jsonrpc":"2.0","id":1,"method":"server.status"},{"jsonrpc":"2.0","method":"x"}]\n',
    b'{"jsonrpc":"2.0","id":"a","method":"rkllm.init","params":[null,{"model_path":"/x"},null]}\n',
    b'{"jsonrpc":"2.0","id":2,"method":"rkllm.run","params":[null,{"prompt_input":"\\u00e4"}]}\n',
    b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":2}}\n',
    b'{"jsonrpc":"2.0","id":3,"method":"server.configure","params":{"stream":"notifications"}}\n',
]


def memory_and_descriptors(daemon: Daemon) -> tuple[int, int]:
    """Resident KiB and open descriptors of the daemon's process."""
    proc = Path(f"/proc/{daemon.process.pid}")
    status = (proc / "status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]), len(list((proc / "fd").iterdir()))


def halves(seconds: float) -> Iterator[bool]:
    """True until half the time has passed, then False until all of it has."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        yield passed < seconds / 2


def soak(daemon: Daemon, once: Callable[[], object]) -> None:
    """Repeat an action; memory and descriptors must stay flat after warming up."""
    warm: tuple[int, int] | None = None
    for warming in halves(SECONDS):
        if not warming and warm is None:
            warm = memory_and_descriptors(daemon)
        once()
    assert warm is not None
    with daemon.connect() as client:
        client.ask("server.ping")
    memory, descriptors = memory_and_descriptors(daemon)
    assert memory - warm[0] < NOISE_KIB
    assert descriptors <= warm[1] + 1


def damaged(chance: random.Random) -> bytes:
    """A few messages of the corpus, with bytes flipped, cut, doubled and moved."""
    data = bytearray(b"".join(chance.choices(CORPUS, k=chance.randint(1, 4))))
    for _ in range(chance.randint(0, 6)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.randint(1, 20)]
        elif kind == 2:
            data[at:at] = data[at : at + chance.randint(1, 20)]
        else:
            data[at:at] = chance.choice([b'"', b"[", b"]", b"{", b"}", b"\\", b"\n", b"9" * 20])
        data = data or bytearray(b"{")
    return bytes(data)


def test_damaged_bytes_never_harm_anybody(start: Start) -> None:
    """No traceback is logged, memory does not grow, and another client is answered each time."""
    chance = random.Random(20260101)
    daemon = start()
    with daemon.connect() as bystander:

        def once() -> None:
            with daemon.connect() as hostile:
                hostile.socket.sendall(damaged(chance))
                hostile.socket.shutdown(1)
                hostile.eof()
            assert bystander.ask("server.ping")["result"] == "pong"

        soak(daemon, once)


def test_runs_and_clients_that_leave_anywhere_leave_nothing_behind(
    start: Start, script: Script
) -> None:
    """Clients read all, a part, or none of their streams; the next client is always served."""
    chance = random.Random(20260102)
    daemon = start()
    daemon.load(script('run\nrepeat 20 token "x"\nfinish\n'))
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "rkllm.run_async",
        "params": {"rkllm_input": {"prompt_input": "go"}},
    }

    def once() -> None:
        with daemon.connect() as client:
            client.send(message)
            for _ in range(chance.choice([0, 1, 5, 21])):
                assert "result" in client.line()

    soak(daemon, once)
    with daemon.connect() as client:
        answers = client.stream("rkllm.run_async", message["params"])
    assert [a["result"]["text"] for a in answers[:-1]] == ["x"] * 20


def test_idle_clients_hold_no_memory_of_a_big_message(start: Start) -> None:
    """The connection releases its buffer after a big message, in both framings."""
    daemon = start()
    big = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server.ping", "x": "y" * 2**23})

    def send(netstrings: bool) -> RawClient:
        client = daemon.connect()
        data = big.encode()
        client.socket.sendall(b"%d:%b," % (len(data), data) if netstrings else data + b"\n")
        assert (client.netstring() if netstrings else client.line())["result"] == "pong"
        return client

    clients = [send(True), send(False)]
    before, _ = memory_and_descriptors(daemon)
    clients += [send(bool(number % 2)) for number in range(20)]
    after, _ = memory_and_descriptors(daemon)
    for client in clients:
        client.socket.close()
    assert after - before < 20 * 1024, f"{after - before} KiB for twenty idle clients"


def test_batches_of_long_answers_that_are_not_read_cost_bounded_memory(start: Start) -> None:
    """99 clients with 4.9 KB each: a hundred times ``rpc.discover``; another one is answered."""
    daemon = start()
    calls = [{"jsonrpc": "2.0", "id": n, "method": "rpc.discover"} for n in range(100)]
    before, _ = memory_and_descriptors(daemon)
    most, slowest = before, 0.0
    with contextlib.ExitStack() as clients:
        observer = clients.enter_context(daemon.connect())
        for _ in range(98):
            clients.enter_context(daemon.connect()).send(calls)
        for _ in halves(SECONDS / 4):
            asked = time.monotonic()
            assert observer.ask("server.ping")["result"] == "pong"
            slowest = max(slowest, time.monotonic() - asked)
            most = max(most, memory_and_descriptors(daemon)[0])
    print(f"{before} KiB, at most {most} KiB; the slowest ping took {slowest * 1000:.0f} ms")
    assert most - before < UNREAD_KIB
