"""Bad input gets an error or a closed connection, without a traceback; other clients are served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon

Start = Callable[..., Daemon]

#: Name -> bytes, and an expected part of the answer (empty: the connection is closed).
HOSTILE = {
    "not JSON": (b"{hello}\n", b"-32700"),
    "NaN": (b'{"jsonrpc":"2.0","id":1,"method":"server.ping","params":[NaN]}\n', b"-32700"),
    "half a character": (b'{"jsonrpc":"2.0","id":1,"method":"\xe4\xbd"}\n', b"-32700"),
    "a surrogate": (b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}\n', b"-32700"),
    "deep nesting": (b"[" * 100_000 + b"]" * 100_000 + b"\n", b"-32700"),
    "deep nesting in a netstring": (b"200000:" + b"[" * 200_000 + b",", b"-32700"),
    "a broken netstring": (b"5:hello;", b""),
    "a gigabyte announced": (b"1000000000:", b""),
    "a length without end": (b"9" * 5000, b""),
    "neither frame nor line": (b"GET / HTTP/1.1\r\n\r\n", b""),
    "a netstring that is not JSON": (b"5:hello,", b"-32700"),
    "zero bytes": (b"\0" * 100, b""),
}


def resident_kib(daemon: Daemon) -> int:
    """Return the memory of the daemon's process."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_bytes_are_answered_or_cut(start: Start, name: str) -> None:
    """Another client is served as before."""
    data, expected = HOSTILE[name]
    daemon = start()
    with daemon.connect() as bystander, daemon.connect() as hostile:
        assert bystander.ask("server.ping")["result"] == "pong"
        hostile.socket.sendall(data)
        if expected:
            seen = b""
            while expected not in seen:
                seen += hostile.socket.recv(65536) or pytest.fail(f"closed after {seen!r}")
        else:
            hostile.eof()
        assert bystander.ask("server.ping")["result"] == "pong"


def test_memory_stays_flat_under_bad_bytes(start: Start) -> None:
    """A thousand bad clients leave no memory behind."""
    daemon = start()

    def round_of_all() -> None:
        for data, _ in HOSTILE.values():
            with daemon.connect() as hostile:
                hostile.socket.sendall(data)
                hostile.socket.shutdown(1)
                hostile.eof()

    for _ in range(20):
        round_of_all()
    before = resident_kib(daemon)
    for _ in range(60):
        round_of_all()
    assert resident_kib(daemon) - before < 2048


def test_unknown_methods_and_wrong_parameters_are_named(start: Start) -> None:
    """The error gives the name."""
    with start().connect() as client:
        unknown = client.ask("rkllm.nope")["error"]
        assert unknown["code"] == -32601
        assert "rkllm.nope" in unknown["message"]
        wrong = client.ask("server.ping", {"loud": True})["error"]
        assert wrong["code"] == -32602
        assert "loud" in wrong["message"] + json.dumps(wrong.get("data"))
