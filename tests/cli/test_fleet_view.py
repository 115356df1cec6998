"""What ``rkllm fleet status`` shows."""

from __future__ import annotations

from typing import Any

from rkllm_twisted.cli.fleet_view import FleetView


def board(name: str, **facts: Any) -> dict[str, Any]:
    """A free board, as a front's status has it."""
    return {
        "board": name,
        "state": "loaded",
        "model": "tiny",
        "is_busy": False,
        "queue_length": 0,
        "tokens": 10,
        "celsius": 45,
        "seen_s": 0.4,
        "problem": None,
        **facts,
    }


def fleet(*boards: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """The member ``fleet`` of a front's status."""
    return {
        "is_reachable": True,
        "boards": list(boards),
        "models": {"tiny": 1},
        "free": 1,
        "running": 0,
        "waiting": 0,
        "retries": {"busy": 0, "board_gone": 0},
        "lost_runs": 0,
        "line_s": {"p50": None, "p99": None},
        **facts,
    }


def test_a_row_for_each_board() -> None:
    view = FleetView(fleet(board("b1"), board("b2", state="running", is_busy=True)), 1.0)
    assert list(view.boards()) == [
        ("b1", "tiny", "free", "0", "", "45", "0 s ago"),
        ("b2", "tiny", "busy", "0", "", "45", "0 s ago"),
    ]


def test_tokens_per_second_are_those_since_the_earlier_view() -> None:
    earlier = FleetView(fleet(board("b1", tokens=10)), 1.0)
    view = FleetView(fleet(board("b1", tokens=30), board("b2")), 3.0, earlier)
    assert [row[4] for row in view.boards()] == ["10.0", "0.0"]


def test_a_board_that_is_away_says_so() -> None:
    """It may know little of itself."""
    away = board("b1", state="away", model=None, queue_length=None, tokens=None, celsius=None)
    [row] = FleetView(fleet(away), 1.0).boards()
    assert row[:4] == ("b1", "none", "away", "0")


def test_the_summary_has_what_waits_and_what_was_lost() -> None:
    said = fleet(
        waiting=2, lost_runs=1, retries={"busy": 3, "board_gone": 0}, line_s={"p50": 0.5, "p99": 2}
    )
    assert FleetView(said, 1.0).summary() == (
        "models: tiny on 1; free: 1; under way: 0; waiting: 2; in line: 0.5 s (half), 2.0 s (99 %);"
        " tried again: 3 busy; lost runs: 1"
    )


def test_a_router_that_is_away_comes_first() -> None:
    view = FleetView(fleet(is_reachable=False), 1.0)
    assert view.summary().startswith("the router cannot be reached; ")
    assert view.line().startswith("boards: none; ")


def test_problems_name_their_board() -> None:
    assert list(FleetView(fleet(board("b1", problem="It is hot.")), 1.0).problems()) == [
        "b1: It is hot."
    ]
