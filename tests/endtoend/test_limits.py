"""The limits of a daemon in its own process, set by its options."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemons import MAX_WAIT_S, Daemon, RawClient

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

ENDLESS = 'run when "endless"\ndelay 1\nrepeat 1000000 token "x"\nfinish\nrun\ntoken "ok"\nfinish\n'

LONG = {"max_new_tokens": 1_000_000}


def params(prompt: str) -> dict[str, object]:
    """Make the parameters of a run, by name."""
    return {"rkllm_input": {"prompt_input": prompt}}


def request(request_id: int, method: str, prompt: str) -> dict[str, object]:
    """Make a run request."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params(prompt)}


def status_when(client: RawClient, condition: Callable[[Any], object]) -> Any:
    """Return the status once it meets a condition."""
    deadline = time.monotonic() + MAX_WAIT_S
    while not condition(status := client.ask("server.status")["result"]):
        assert time.monotonic() < deadline, status
    return status


def test_the_status_shows_the_queue_without_the_prompts(start: Start, script: Script) -> None:
    """Runs are listed by connection number, in the order of their turns."""
    daemon = start()
    daemon.load(script(ENDLESS), **LONG)
    with daemon.connect() as one, daemon.connect() as two, daemon.connect() as looking:
        assert looking.ask("server.status")["result"]["running"] is None
        one.ask("rkllm.run_async", params("endless"))
        for number in range(3):
            two.send(request(number, "rkllm.run", "my secret"))
        status_when(looking, lambda status: status["queue_length"] == 3)
        one.send(request(2, "rkllm.run", "my secret"))
        status = status_when(looking, lambda status: status["queue_length"] == 4)
    running, waiting = status["running"], status["waiting"]
    assert running["function"] == "rkllm_run_async"
    assert waiting[0] == {"client": running["client"] + 1, "calls": 3}
    assert waiting[1] == {"client": running["client"], "calls": 1}
    assert "secret" not in json.dumps(status)
    assert "secret" not in daemon.log.read_text()


def test_a_full_queue_is_refused_at_once(start: Start, script: Script) -> None:
    """The error has the queue's length; one connection's excess request gets the same error."""
    daemon = start("--queue=2", "--max-requests=3")
    daemon.load(script(ENDLESS), **LONG)
    with daemon.connect() as one, daemon.connect() as two:
        one.ask("rkllm.run_async", params("endless"))
        for number in (2, 3):
            one.send(request(number, "rkllm.run", "hi"))
        error = one.ask("rkllm.run", params("hi"), 4)
        while error["id"] != 4:
            error = one.line()
        assert (error["error"]["code"], error["error"]["data"]) == (-32002, {"queue_length": 3})
        error = two.ask("rkllm.run", params("hi"))["error"]
        assert (error["code"], error["data"]) == (-32002, {"queue_length": 2})


def test_a_client_that_stops_reading_is_dropped_and_the_npu_is_free(
    start: Start, script: Script
) -> None:
    """The client is dropped at its byte limit or its time limit, whichever comes first."""
    daemon = start("--max-unread=256K", "--unread-timeout=1")
    daemon.load(script(ENDLESS.replace("delay 1", "delay 0")), **LONG)
    with daemon.connect() as deaf, daemon.connect() as good:
        deaf.send(request(1, "rkllm.run_async", "endless"))
        status_when(good, lambda status: status["running"])
        assert good.ask("rkllm.run", params("hi"), 2)["result"]["text"] == "ok"
    assert "is dropped: it " in daemon.log.read_text()


def test_a_message_over_the_limit_names_it(start: Start) -> None:
    """The error comes before the daemon has read the message."""
    with start("--max-message=2K").connect() as client:
        client.socket.sendall(b"2049:")
        answer = client.eof()
        assert b"-32600" in answer
        assert b'"max_length":2048' in answer


def test_unfinished_messages_are_bounded_for_all_together(start: Start) -> None:
    """The largest message is refused; the other client's message is still accepted."""
    daemon = start("--max-message=1M", "--max-unparsed=1500K")
    ping = b'{"jsonrpc":"2.0","id":1,"method":"server.ping"}'
    with daemon.connect() as small, daemon.connect() as big:
        small.socket.sendall(b"%d:" % (len(ping) + 600_000) + b" " * 600_000)
        with contextlib.suppress(BrokenPipeError):  # refused before all of it was sent
            big.socket.sendall(b"1000000:" + b" " * 990_000)
        answer = big.eof()
        assert b"-32002" in answer
        assert b"max_unparsed" in answer
        small.socket.sendall(ping + b",")
        assert small.netstring()["result"] == "pong"
