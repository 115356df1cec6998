"""The page of the simulated fleets."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.fleet.page import Step, page


def step(boards: int, **streamed: Any) -> Step:
    good = {"seconds": 5.0, "took": [0.25, 0.5], "lost": 0, "again": 0}
    calls = {**good, "runs": 500, "aged": []}
    streams = {**good, "tokens": 4000, "aged": [0.002, 0.0101], **streamed}
    return Step(boards, 5.0, 300.0, (10.0, 20.0), calls, (0.5, 1.5), streams, (0.1, 0.25))


def test_each_number_of_boards_has_a_row_in_both_tables() -> None:
    lines = page([step(1), step(200)], 200, "A machine").splitlines()
    assert "| 200 | 100 | 0.25 s | 0.50 s | 0.50 ms | 1.50 ms |" in lines
    [streams] = [line for line in lines if line.startswith("| 1 | 800 | 2.0 / 10.1 ms |")]
    assert streams.endswith("| 0.100 ms | 0.250 ms | 10 ms/s | 20 ms/s | 5.0 ms | 300 MB |")


def test_each_row_has_as_many_cells_as_its_table() -> None:
    lines = page([step(1)], 200, "A machine").splitlines()
    rows = [line.count("|") for line in lines if line.startswith("|")]
    assert len({*rows}) == 3
    assert sorted(rows, reverse=True)[:3] == [10, 10, 10]


def test_ten_thousand_boards_follow_from_the_last_row() -> None:
    text = page([step(1), step(200)], 200, "A machine")
    assert "| 4,000/s × 0.100 ms + 10 ms/s | 0.41 |" in text
    assert "| (1,000 − 20) ms/s ÷ (20/s × 0.250 ms) | 196 |" in text
    assert "| 50 × 1.02 | 51 |" in text
    assert "| 10,000 ÷ 200 | 50 |" in text
    assert "| 50 × 300 MB | 15 GB |" in text
    assert "| 200 × 5.0 ms | 1 s |" in text


@pytest.mark.parametrize(
    ("streamed", "sign"),
    [
        ({"lost": 200, "aged": [], "took": []}, "200 runs were lost"),
        ({"again": 3}, "3 runs were made again"),
        ({"aged": [0.9, 5.2]}, "tokens were late by 5.2 s"),
        ({"took": [30.0, 77.4]}, "runs took 77 s"),
    ],
)
def test_an_overloaded_machine_gives_no_figures(streamed: Any, sign: str) -> None:
    """The row says why, and the arithmetic takes the last good one."""
    text = page([step(30), step(200, **streamed)], 200, "A machine")
    [row] = [line for line in text.splitlines() if line.startswith("| 200 | machine overloaded")]
    assert row.startswith(f"| 200 | machine overloaded: {sign} |")
    assert row.count("|") == 10
    assert "follows from the 30 boards" in text
    nothing = page([step(200, **streamed)], 200, "A machine")
    assert nothing.endswith("so nothing follows about more of them.\n")
