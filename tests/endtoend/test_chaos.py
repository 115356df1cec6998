"""The runtime crashes in every possible way, under load from twenty clients, on every layout.

One daemon per layout goes through all tests, so each fault also meets a daemon that has survived
the others. Tests that wait for seconds are in test_chaos_hangs.py; soak/test_hundred_crashes.py has
a hundred crashes in a row.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from many_clients import ABIS, CALLS, Rig, child_of, crowd, ends, is_alive, left_over, wait_until

#: A way in which a run ends its process -> the members of the error's data.
DEATHS: dict[str, dict[str, int]] = {
    "segv": {"signal": signal.SIGSEGV},
    "abort": {"signal": signal.SIGABRT},
    "exit 3": {"exit_code": 3},
    "exit 0": {"exit_code": 0},
}
#: Time limit for an error after a crash, on a busy machine; docs/performance/limits.md has the
#: figure.
AT_ONCE = 1.0
HELLO = 'run\ntoken "Hello"\nfinish\n'


@pytest.fixture(scope="module", params=ABIS)
def rig(request: Any, tmp_path_factory: Any) -> Iterator[Rig]:
    """Start a layout's daemon; its log must have no traceback at the end."""
    rig = Rig(tmp_path_factory.mktemp("chaos"), request.param)
    yield rig
    assert rig.daemon.stop() == 0
    assert "Traceback" not in rig.daemon.log.read_text()


def crash_under_load(
    rig: Rig, last_lines: str, strike: Callable[[], float], how: dict[str, int]
) -> None:
    """Crash a run while twenty clients wait; then load again and serve all of them."""
    word = f"the end by {how}"
    words = f'print stderr "{word}\\n"\nprint stderr "argh"'
    model = f'run when "die"\ntoken "x"\n{words}\n{last_lines}\n{HELLO}'
    rig.load(model)
    child = child_of(rig.daemon)
    with crowd(rig.daemon) as they:
        they.queue("die")
        wait_until(lambda: word in rig.daemon.log.read_text())
        struck = strike()
        error = they.first()["error"]
        assert time.monotonic() - struck < AT_ONCE
        assert error["code"] == -32004
        assert how.items() <= error["data"].items()
        assert error["data"]["lines"][-2:] == [word, "argh"]
        assert they.answers() == [-32001] * (CALLS - 1)
        status = they.status()
        assert (status["state"], status["model_path"]) == ("empty", None)
        assert status["problem"] in error["message"]
        assert not is_alive(child)
        rig.load(model)
        they.ask("hi")
        assert they.answers() == [None] * CALLS


@pytest.mark.parametrize("death", DEATHS)
def test_a_crash_costs_the_run_under_way_and_no_more(rig: Rig, death: str) -> None:
    """The run gets -32004 with cause and last output; queued runs get -32001."""
    crash_under_load(rig, f"gate\n{death}", rig.open, DEATHS[death])


def test_a_crash_amid_a_sequence_ends_it_and_names_the_call(rig: Rig) -> None:
    """The results so far are in the error; the daemon goes on, and no text is another's."""
    rig.load(f'run when "die"\ntoken "x"\nsegv\n{HELLO}')
    runs = [
        {"method": "rkllm.run", "params": [{"prompt_input": text}]} for text in ("hi", "die", "hi")
    ]
    with rig.daemon.connect() as client:
        error = client.ask("server.sequence", {"calls": runs, "stream": False})["error"]
        assert error["code"] == -32004
        assert error["message"].startswith("calls[1] (rkllm.run): ")
        assert error["data"]["call_index"] == 1
        assert [result["text"] for result in error["data"]["results"]] == ["Hello"]
        rig.load(HELLO)
        answer = client.ask("server.sequence", {"calls": runs[:1], "stream": False})["result"]
        assert [result["text"] for result in answer["results"]] == ["Hello"]


def test_the_oom_killer_is_one_more_crash(rig: Rig) -> None:
    """SIGKILL comes from outside, and the runtime prints nothing."""

    def strike() -> float:
        os.kill(child_of(rig.daemon), signal.SIGKILL)
        return time.monotonic()

    crash_under_load(rig, "gate", strike, {"signal": signal.SIGKILL})


@pytest.mark.parametrize("death", ["segv", "exit 3"])
def test_a_crash_in_init_is_told_to_who_asked(rig: Rig, death: str) -> None:
    """Queued runs hear that no model is loaded; the next load succeeds."""
    with crowd(rig.daemon) as they, rig.daemon.connect() as loader:
        word = f'init print stderr "loading, then {death}\\n"'
        model = {"model_path": str(rig.script(f"{word}\ninit gate\ninit {death}\n{HELLO}"))}
        loader.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.init", "params": [model]})
        wait_until(lambda: f"loading, then {death}" in rig.daemon.log.read_text())
        they.ask("hi")
        wait_until(lambda: they.status()["queue_length"] == CALLS)
        struck = rig.open()
        error = loader.line()["error"]
        assert time.monotonic() - struck < AT_ONCE
        assert error["code"] == -32004
        assert DEATHS[death].items() <= error["data"].items()
        assert they.answers() == [-32001] * CALLS
        rig.load(HELLO)
        they.ask("hi")
        assert they.answers() == [None] * CALLS


def test_destroy_amid_runs_ends_none_that_has_begun(rig: Rig) -> None:
    """Destroy waits its turn: earlier runs are answered, later ones have no model."""
    rig.load(f'run\ngate\ntoken "Hello"\nfinish\n{HELLO}')
    child = child_of(rig.daemon)
    with crowd(rig.daemon) as they, rig.daemon.connect() as destroyer:
        they.queue("hi")
        destroyer.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.destroy"})
        wait_until(lambda: they.status()["queue_length"] == CALLS)
        rig.open()
        assert destroyer.line()["result"]["success"] is True
        codes = they.answers()
        assert set(codes) == {None, -32001}
        assert len(codes) == CALLS
        assert they.status()["problem"] is None
        wait_until(lambda: not is_alive(child))


def test_destroy_behind_an_init_takes_the_model_away(rig: Rig) -> None:
    """Destroy waits until the load has ended; later runs have no model."""
    with crowd(rig.daemon) as they, rig.daemon.connect() as loader:
        model = {"model_path": str(rig.script(f"init gate\n{HELLO}"))}
        loader.send({"jsonrpc": "2.0", "id": 1, "method": "rkllm.init", "params": [model]})
        wait_until(lambda: they.status()["state"] == "loading")
        loader.send({"jsonrpc": "2.0", "id": 2, "method": "rkllm.destroy"})
        wait_until(lambda: they.status()["queue_length"] == 1)
        they.ask("hi")
        wait_until(lambda: they.status()["queue_length"] == CALLS + 1)
        rig.open()
        assert [loader.line()["result"]["success"] for _ in range(2)] == [True, True]
        assert they.answers() == [-32001] * CALLS


def test_clients_that_leave_take_nobody_with_them(rig: Rig) -> None:
    """Other clients are answered, whether the leaving client's run was active or queued."""
    rig.load(f'run when "stay"\ntoken "x"\ngate\nfinish\n{HELLO}')
    child = child_of(rig.daemon)
    with crowd(rig.daemon) as they:
        they.queue("stay")
        for client in they.clients[::4]:
            client.socket.close()
        del they.clients[::4]
        wait_until(lambda: they.status()["clients"] == len(they.clients) + 1)
        rig.open()
        assert they.answers() == [None] * (len(they.clients) * 2)
        assert child_of(rig.daemon) == child


def test_a_stop_amid_a_stream_answers_everybody(rig: Rig, tmp_path: Path) -> None:
    """The current run ends normally, queued ones get -32802, and then the connections close."""
    last = Rig(tmp_path, rig.abi)
    last.load(f'run\nrepeat 3 token "x"\ngate\ntoken "y"\nfinish\n{HELLO}')
    with crowd(last.daemon) as they:
        they.queue("hi")
        last.daemon.process.send_signal(signal.SIGTERM)
        waiting = they.clients[1:]
        first_two = [waiting[0].line(), waiting[0].line()]
        last.open()
        ended = [a for a in left_over(they.clients[0]) if ends(a)]
        codes = [a.get("error", {}).get("code") for a in ended]
        assert sorted(codes, key=str) == [-32802, None]
        answers = first_two + [a for client in waiting for a in left_over(client)]
        assert [a["error"]["code"] for a in answers] == [-32802] * (CALLS - 2)
    assert last.daemon.process.wait(10) == 0
