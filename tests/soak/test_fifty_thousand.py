"""Fifty thousand requests over a real socket: memory and descriptors stay where they are.

Both processes count: the daemon, and the one in which it keeps the runtime.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from daemons import Daemon, RawClient

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

REQUESTS = 90_000
#: Requests until allocators, caches and code paths are warm.
WARM = 40_000
#: Growth of resident memory that is allowed, in KiB per 1,000 requests.
GROWTH = 1.0
#: KiB by which the allocators' own buffers come and go, whatever the number of requests.
NOISE = 1024
INPUT = {"rkllm_input": {"prompt_input": "go"}}
#: method, params, and how many messages come back.
ROUND: list[tuple[str, object, int]] = [
    ("server.ping", None, 1),
    ("server.status", None, 1),
    ("rkllm.run", INPUT, 1),
    ("rkllm.run_async", INPUT, 4),
    ("server.version", None, 1),
    ("rkllm.is_running", None, 1),
    ("no.such.method", None, 1),
    ("rkllm.run", {"rkllm_input": {"no_such_field": 1}}, 1),
    ("server.configure", {"floats": "base64"}, 1),
    ("server.cancel", {"id": 1}, 1),
]
#: Rounds between two clients that leave without reading.
EVERY = 10


def processes(daemon: Daemon) -> list[Path]:
    """The daemon's process and its children."""
    own = daemon.process.pid
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    return [Path(f"/proc/{pid}") for pid in (own, *children)]


def resident_kib(daemon: Daemon) -> int:
    """The resident memory of all processes."""
    texts = [(path / "status").read_text() for path in processes(daemon)]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in texts)


def descriptors(daemon: Daemon) -> int:
    """The number of open files of all processes."""
    return sum(len(list((path / "fd").iterdir())) for path in processes(daemon))


def one_round(client: RawClient, netstrings: bool) -> int:
    """Send a round of requests at once and read the answers; return the number of requests."""
    messages = [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
        for number, (method, params, _) in enumerate(ROUND)
    ]
    frame = (lambda m: b"%d:%b," % (len(m), m)) if netstrings else (lambda m: m + b"\n")
    client.socket.sendall(b"".join(map(frame, messages)))
    for _ in range(sum(replies for *_, replies in ROUND)):
        answer = client.netstring() if netstrings else client.line()
        assert "result" in answer or answer["error"]["code"] in (-32601, -32602), answer
    return len(ROUND)


def leave_without_reading(daemon: Daemon) -> int:
    """Request a stream and disconnect."""
    with daemon.connect() as client:
        client.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.run_async", "params": INPUT})
    return 1


def ask(daemon: Daemon, clients: list[RawClient], requests: int) -> int:
    """Send at least that many requests; return their number."""
    done = rounds = 0
    while done < requests:
        is_netstrings = bool(rounds % 2)
        done += one_round(clients[is_netstrings], is_netstrings)
        rounds += 1
        if rounds % EVERY == 0:
            done += leave_without_reading(daemon)
    clients[0].ask("rkllm.run", INPUT)  # behind all that was left
    return done


def test_fifty_thousand_requests_leave_no_trace(start: Start, script: Script) -> None:
    """Memory may grow by 1 KiB per 1,000 requests plus noise, and descriptors may not grow."""
    daemon = start()
    daemon.load(script('run\ntoken "a"\ntoken "b"\ntoken "c"\nfinish\n'))
    with daemon.connect() as lines, daemon.connect() as netstrings:
        clients = [lines, netstrings]
        warm = ask(daemon, clients, WARM)
        memory, files = resident_kib(daemon), descriptors(daemon)
        requests = ask(daemon, clients, REQUESTS - warm)
        growth, more = resident_kib(daemon) - memory, descriptors(daemon) - files
    print(f"{growth} KiB and {more} descriptors in {requests} requests")
    assert growth <= GROWTH * requests / 1000 + NOISE
    assert more == 0
