"""Processes of a fleet that are stopped and do not die: told in time, and what it costs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crossbar_fleet import Fleet, first_tokens
from crossbar_router import require_crossbar
from fleet_parts import TEXT

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import RuntimeCrashed

require_crossbar()

#: Seconds for a router or a front: a ping after 2, missed after 3 more, and a busy machine.
PING_S = 12.0
#: Seconds for a daemon or a child, each of which is given up after 10.
SILENCE_S = 25.0


@contextmanager
def stopped(pid: int, kill: Callable[[int, int], None] = os.kill) -> Iterator[None]:
    """Stop a process for the time of a context."""
    kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(pid, signal.SIGCONT)


def the_end_of(results: Any, came: list[Any], seconds: float) -> RuntimeCrashed:
    """Read a run that was under way to its end, which must be an error in time."""
    began = time.monotonic()
    with pytest.raises(RuntimeCrashed) as caught:
        came.extend(results)
    assert time.monotonic() - began < seconds
    return caught.value


def child_of(services: Fleet, board: str) -> int:
    """The process that runs the library of a board's daemon."""
    daemon = services.daemons[board].process.pid
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    return int(children[-1])


def test_a_router_that_hangs_costs_the_runs_under_way(services: Fleet) -> None:
    """What comes meanwhile waits, and is answered when the router goes on."""
    texts: list[str] = []

    def ask() -> None:
        with Client(services.path, timeout=60) as client:
            texts.append(client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"])

    with Client(services.path, timeout=60) as client:
        results, came = first_tokens(client, 3)
        name = services.busy()
        with stopped(services.router.process.pid, os.killpg):
            error = the_end_of(results, came, PING_S)
            assert error.data == {"board": name, "tokens": len(came)}
            waiting = threading.Thread(target=ask)
            waiting.start()
        waiting.join(60)
    assert texts == [TEXT]


def test_a_front_that_hangs_frees_its_boards(services: Fleet) -> None:
    """Its clients wait until it goes on, and then have an error."""
    with Client(services.path, timeout=60) as client:
        results, came = first_tokens(client, 3)
        name = services.busy()
        began = time.monotonic()
        with (
            services.daemons[name].connect() as local,
            stopped(services.front.pid),
        ):
            while local.ask("server.status")["result"]["running"] is not None:
                assert time.monotonic() - began < PING_S
                time.sleep(0.02)  # the status is the only sign
        the_end_of(results, came, PING_S)


def test_a_daemon_that_hangs_costs_one_answer(services: Fleet) -> None:
    """Its board offers nothing until it goes on."""
    with Client(services.path, timeout=60) as client:
        results, came = first_tokens(client, 3)
        name = services.busy()
        with stopped(services.daemons[name].process.pid):
            error = the_end_of(results, came, SILENCE_S)
            assert (error.data or {})["board"] == name
            services.await_boards(2)
            assert client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"] == TEXT


def test_a_runtime_that_hangs_costs_one_answer(services: Fleet) -> None:
    """The daemon ends it and loads its model again."""
    with Client(services.path, timeout=60) as client:
        results, came = first_tokens(client, 3)
        name = services.busy()
        os.kill(child_of(services, name), signal.SIGSTOP)
        error = the_end_of(results, came, SILENCE_S)
        assert (error.data or {})["board"] == name
    services.await_boards(3)
