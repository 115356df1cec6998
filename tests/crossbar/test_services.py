"""Daemons, bridges and a front over a real router, each in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from crossbar_fleet import Fleet, first_tokens
from crossbar_router import require_crossbar
from daemons import MAX_WAIT_S
from fleet_parts import TEXT

from rkllm_twisted.blocking import Client
from rkllm_twisted.errors import RuntimeCrashed, Unreachable
from rkllm_twisted.fleet.values import Role

require_crossbar()


def test_nine_runs_in_three_waves(services: Fleet) -> None:
    """Three at once, and no board idle while one waits."""
    ends: list[float] = []
    texts: list[str] = []

    def ask() -> None:
        with Client(services.path) as client:
            texts.append(client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"])
            ends.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask) for _ in range(9)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert texts == [TEXT] * 9
    waves = [sorted(ends)[at] for at in (2, 5, 8)]
    assert waves[0] < waves[1] - 0.3 < waves[2] - 0.6


def test_a_client_that_leaves_frees_its_board(services: Fleet) -> None:
    """Within the time of some tokens, and each time."""
    for _ in range(5):
        with Client(services.path) as client:
            first_tokens(client, 2)
        assert services.await_boards(3) < 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_bridge_that_dies_costs_one_answer(services: Fleet, how: signal.Signals) -> None:
    """The client is told in time, no token comes twice, and the board comes back."""
    with Client(services.path, timeout=20) as client:
        results, came = first_tokens(client, 3)
        name = services.busy()
        services.bridges[name].send_signal(how)
        began = time.monotonic()
        with pytest.raises(RuntimeCrashed) as caught:
            came.extend(results)
        assert time.monotonic() - began < 12
        data = caught.value.data or {}
        assert (data["board"], data["tokens"]) == (name, len(came))
        assert client.call("rkllm.run", [{"prompt_input": "Hello"}])["text"] == TEXT
    if how is signal.SIGKILL:
        services.bridges[name].wait(MAX_WAIT_S)
        services.start_bridge(name)
    else:
        os.kill(services.bridges[name].pid, signal.SIGCONT)
    services.await_boards(3)


def test_a_runtime_that_dies_costs_one_answer(services: Fleet) -> None:
    """The daemon loads its model again."""
    with Client(services.path, timeout=20) as client:
        results, came = first_tokens(client, 3)
        name = services.busy()
        daemon = services.daemons[name].process.pid
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        with pytest.raises(RuntimeCrashed) as caught:
            came.extend(results)
        assert (caught.value.data or {})["board"] == name


def test_a_router_that_dies_costs_the_runs_under_way(services: Fleet) -> None:
    """What comes meanwhile waits for it to be back."""
    with Client(services.path, timeout=60) as client, Client(services.path, timeout=60) as other:
        results, came = first_tokens(client, 3)
        services.router.stop()
        with pytest.raises(RuntimeCrashed):
            came.extend(results)
        texts: list[str] = []

        def ask() -> None:
            texts.append(other.call("rkllm.run", [{"prompt_input": "Hello"}])["text"])

        waiting = threading.Thread(target=ask)
        waiting.start()
        services.router.start()
        waiting.join(60)
        assert texts == [TEXT]


def test_a_front_that_dies_ends_its_runs(services: Fleet) -> None:
    """The board is free soon, and another front finds it so."""
    with Client(services.path, timeout=20) as client:
        results, _ = first_tokens(client, 3)
        name = services.busy()
        services.front.kill()
        with pytest.raises(Unreachable):
            list(results)
    began = time.monotonic()
    with services.daemons[name].connect() as local:
        while local.ask("server.status")["result"]["running"] is not None:
            assert time.monotonic() - began < 10
            time.sleep(0.02)  # the status is the only sign
    services.front.wait(MAX_WAIT_S)
    services.start_front()
    services.await_boards(3)


def test_a_bridge_leaves_in_order(services: Fleet) -> None:
    """The run under way ends, and then it goes."""
    with Client(services.path, timeout=20) as client:
        results = client.stream("rkllm.run_async", [{"prompt_input": "Hello"}])
        came = [next(results)]
        name = services.busy()
        services.bridges[name].terminate()
        came.extend(results)
        assert "".join(result["text"] or "" for result in came) == TEXT
    assert services.bridges[name].wait(MAX_WAIT_S) == 0
    services.await_boards(2)
    services.start_bridge(name)
    services.await_boards(3)


def test_a_router_whose_certificate_is_not_trusted_is_not_joined(services: Fleet) -> None:
    """The log says why; no key is shown to a stranger."""
    log = services.directory / "b9.log"
    url = f"wss://127.0.0.1:{services.router.port}"
    bridge = services.twistd_member("rkllm-board", "b9", Role.BOARD, url)
    try:
        began = time.monotonic()
        while "its certificate is not trusted; the option --ca" not in log.read_text():
            assert time.monotonic() - began < MAX_WAIT_S
            time.sleep(0.05)  # the log is the only sign
        assert "b9" not in {row["board"] for row in services.status()["boards"]}
    finally:
        bridge.terminate()
        bridge.wait(MAX_WAIT_S)
