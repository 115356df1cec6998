"""The output of rkllm status."""

from __future__ import annotations

from typing import Any

from rkllm_twisted.board.sensors import Readings
from rkllm_twisted.cli.status_view import StatusView

NOTHING = Readings(None, None, None, None, None, None)
ALL = Readings((37, 0, 5), 1_000_000_000, 43.461, 2**30, 2**31, 2**20)
STATUS: dict[str, Any] = {
    "state": "running",
    "model_path": "/m.rkllm",
    "queue_length": 3,
    "runs": 7,
    "tokens": 100,
    "problem": None,
    "running": {"client": 4, "function": "rkllm_run"},
    "waiting": [{"client": 5, "calls": 2}, {"client": 6, "calls": 1}],
    "backend": "npu",
    "clients": 3,
    "uptime_s": 3723.5,
    "pid": 99,
}


def test_a_board_shows_all() -> None:
    """The view has names and texts for people."""
    assert StatusView(STATUS, ALL, 0.0, 12.34).rows() == {
        "state": "running",
        "model": "/m.rkllm",
        "runtime": "npu",
        "running": "rkllm_run, for client 4",
        "queue": "3 (2 of client 5, 1 of client 6)",
        "clients": "3",
        "runs": "7",
        "tokens": "100",
        "tokens/s": "12.3",
        "NPU load": "37 % 0 % 5 %",
        "NPU clock": "1000 MHz",
        "temperature": "43.5 °C",
        "memory": "1 MiB held by the daemon, 1024 MiB available of 2048 MiB",
        "uptime": "1:02:03",
        "process": "99",
    }


def test_what_is_not_known_is_left_out() -> None:
    """A PC has no such readings, and a daemon may report little."""
    assert StatusView({"state": "empty"}, NOTHING, 0.0).rows() == {
        "state": "empty",
        "model": "none",
        "running": "nothing",
        "queue": "0",
    }


def test_a_crash_stands_beside_the_state() -> None:
    """The crash is shown until another model is loaded."""
    status = {**STATUS, "state": "failed", "problem": "killed by SIGSEGV"}
    assert StatusView(status, NOTHING, 0.0).rows()["state"] == "failed (killed by SIGSEGV)"


def test_tokens_per_second_are_those_between_two_looks() -> None:
    """The first look shows no rate."""
    first = StatusView(STATUS, NOTHING, 10.0)
    second = StatusView({**STATUS, "tokens": 150}, NOTHING, 12.0).after(first)
    assert first.after(None).tokens_per_second is None
    assert second.tokens_per_second == 25.0


def test_a_daemon_that_began_anew_has_made_no_less_than_none() -> None:
    """A restarted daemon's counter is small again; the rate is never negative."""
    second = StatusView({**STATUS, "tokens": 5}, NOTHING, 12.0).after(
        StatusView(STATUS, NOTHING, 10.0)
    )
    assert second.tokens_per_second == 0.0


def test_json_is_the_status_and_what_is_beside_it() -> None:
    """The names of the members contain the units."""
    found = StatusView(STATUS, ALL, 0.0, 1.5).to_json()
    assert found["queue_length"] == 3
    assert found["tokens_per_second"] == 1.5
    assert found["machine"] == {
        "npu_load": (37, 0, 5),
        "npu_hz": 1_000_000_000,
        "celsius": 43.461,
        "memory_available": 2**30,
        "memory_total": 2**31,
        "resident": 2**20,
    }
