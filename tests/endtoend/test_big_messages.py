"""The daemon answers other clients while it parses a message of tens of megabytes."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import MAX_WAIT_S, Daemon, RawClient

from rkllm_twisted.cpu import demo_model

Start = Callable[..., Daemon]
BEGIN = b'{"jsonrpc":"2.0","id":"big","method":"rkllm.run","params":[{"input_type":2,"embed_input":'
#: Messages that are slow to parse: three million numbers, a prompt of escapes, many values.
NUMBERS = BEGIN + b'{"n_tokens":1000,"embed":[' + b"0.125," * 2_999_999 + b"1]}}]}"
OTHER = b'{"jsonrpc":"2.0","id":"big","method":"nothing","params":['
ESCAPES = OTHER + b'"' + b"\\n" * 8_000_000 + b'"]}'
SWARM = OTHER + b"1," * 4_000_000 + b"1]}"


def send(client: RawClient, payload: bytes) -> None:
    """Send the message from a thread and wait until it is sent; then the daemon only parses."""
    thread = threading.Thread(target=client.socket.sendall, args=(payload,))
    thread.start()
    thread.join(MAX_WAIT_S)
    assert not thread.is_alive()


def readers_of(daemon: Daemon) -> list[int]:
    """Return the daemon's processes that parse big messages."""
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text()
    return [
        int(child)
        for child in children.split()
        if b"offload.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def await_input(process: int) -> None:
    """Wait until the pipe to a process has data."""
    waiting = bytearray(4)
    deadline = time.monotonic() + MAX_WAIT_S
    with Path(f"/proc/{process}/fd/0").open("rb") as pipe:
        while not any(waiting):
            assert time.monotonic() < deadline
            fcntl.ioctl(pipe, termios.FIONREAD, waiting)


def has_answer(client: RawClient) -> bool:
    """Tell whether the client has data to read."""
    return bool(select.select([client.socket], [], [], 0)[0])


@pytest.mark.parametrize(
    ("payload", "code", "words"),
    [
        (NUMBERS, -32602, "has 3000000 elements, but the loaded model's embeddings are"),
        (ESCAPES, -32601, "nothing"),
        (SWARM, -32602, "a message may hold 200000 values"),
    ],
    ids=["numbers", "escapes", "swarm"],
)
def test_others_are_answered_while_it_is_read(
    start: Start, payload: bytes, code: int, words: str
) -> None:
    """Another client gets dozens of answers meanwhile, and the big message gets its own."""
    daemon = start()
    daemon.load(demo_model())
    with daemon.connect() as big, daemon.connect() as other:
        other.ask("server.ping")
        send(big, payload + b"\n")
        answered = 0
        while not has_answer(big):
            assert other.ask("server.ping")["id"] == 1
            answered += 1
        answer = big.line()
        assert (answer["id"], answer["error"]["code"]) == ("big", code)
        assert words in answer["error"]["message"]
        assert answered >= 20


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_others_are_answered_while_numbers_are_written(
    start: Start, isolation: str, tmp_path: Path
) -> None:
    """Writing a million logits as JSON takes a second; only the client that asked waits."""
    model = tmp_path / "model.script"
    model.write_text("#!rkllm-script 1\nvocab 50000\nrun\nlogits 20 50000\nnofinish\n")
    daemon = start(f"--isolation={isolation}")
    daemon.load(model)
    with daemon.connect() as asking, daemon.connect() as other:
        other.ask("server.ping")
        params = [{"prompt_input": "x"}, {"mode": "RKLLM_INFER_GET_LOGITS"}]
        asking.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.run", "params": params})
        answered = 0
        while not has_answer(asking):
            assert other.ask("server.ping")["id"] == 1
            answered += 1
        logits = asking.line()["result"]["logits"]["logits"]
        assert (len(logits), {len(row) for row in logits}) == (20, {50000})
        assert logits[0][:3] == [-1, -0.9921875, -0.984375]
        assert answered >= 20


def test_what_follows_waits_for_it(start: Start) -> None:
    """Messages of a connection are handled in order, and a half-closed client gets its answers."""
    with start().connect() as client:
        ping = b'{"jsonrpc":"2.0","id":"after","method":"server.ping"}\n'
        send(client, SWARM + b"\n" + ping)
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.line()["id"] for _ in range(2)] == ["big", "after"]
        assert client.eof() == b""


def test_it_may_be_a_netstring(start: Start) -> None:
    """The answer is a netstring, too."""
    with start().connect() as client:
        send(client, b"%d:%b," % (len(SWARM), SWARM))
        assert client.netstring()["id"] == "big"


def test_the_process_that_reads_it_may_die(start: Start) -> None:
    """That message gets a one-sentence error, and the next one is parsed."""
    daemon = start()
    with daemon.connect() as client:
        send(client, SWARM + b"\n")
        assert client.line()["error"]["code"] == -32602
        (reader,) = readers_of(daemon)
        os.kill(reader, signal.SIGSTOP)
        send(client, SWARM + b"\n")
        await_input(reader)
        os.kill(reader, signal.SIGKILL)
        answer: Any = client.line()
        assert (answer["id"], answer["error"]["code"]) == (None, -32603)
        assert "Send it again" in answer["error"]["message"]
        send(client, SWARM + b"\n")
        assert client.line()["error"]["code"] == -32602


def test_who_leaves_meanwhile_is_forgotten(start: Start) -> None:
    """The daemon stops parsing when the client disconnects."""
    daemon = start()
    with daemon.connect() as leaver:
        send(leaver, ESCAPES + b"\n")
    with daemon.connect() as client:
        send(client, SWARM + b"\n")
        assert client.line()["id"] == "big"
        assert client.ask("server.status")["result"]["clients"] == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_does_not_end_the_reader(
    start: Start, how: signal.Signals
) -> None:
    """The daemon ends it; a message that is under way is still answered."""
    daemon = start()
    with daemon.connect() as client:
        for _ in range(2):
            send(client, SWARM + b"\n")
            assert client.line()["id"] == "big"
            (reader,) = readers_of(daemon)
            os.kill(reader, how)
    assert "ended" not in daemon.log.read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_reader_ends_with_the_daemon(start: Start, how: signal.Signals) -> None:
    """The process that parses ends with it, whichever signal ends the daemon."""
    daemon = start()
    with daemon.connect() as client:
        send(client, SWARM + b"\n")
        client.line()
    (reader,) = readers_of(daemon)
    opened = os.pidfd_open(reader)
    daemon.stop(how)
    assert select.select([opened], [], [], MAX_WAIT_S)[0]
    os.close(opened)
