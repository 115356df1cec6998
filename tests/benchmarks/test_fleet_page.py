"""The page of the simulated fleets."""

from __future__ import annotations

from benchmarks.fleet.page import Step, page


def step(boards: int) -> Step:
    calls = {"runs": 500, "seconds": 5.0, "took": [0.25, 0.5]}
    streams = {"tokens": 4000, "seconds": 5.0, "aged": [0.002, 0.0101], "lost": 3}
    return Step(boards, 5.0, 300.0, calls, (0.5, 1.5), streams, (0.1, 0.25))


def test_each_number_of_boards_has_a_row_in_both_tables() -> None:
    lines = page([step(1), step(200)], 200, "A machine").splitlines()
    assert "| 200 | 100 | 0.25 s | 0.50 s | 0.50 ms | 1.50 ms |" in lines
    assert "| 1 | 800 | 2.0 / 10.1 ms | 3 | 0.100 ms | 0.250 ms | 5.0 ms | 300 MB |" in lines
    assert all(
        line.count("|") == lines[at - 1].count("|")
        for at, line in enumerate(lines)
        if line.startswith("|---")
    )


def test_ten_thousand_boards_follow_from_the_last_row() -> None:
    text = page([step(1), step(200)], 200, "A machine")
    assert "| 200 × 20/s × 0.100 ms | 0.40 |" in text
    assert "| 10,000 × 20/s × 0.250 ms | 50 |" in text
    assert "| 10,000 ÷ 200 | 50 |" in text
    assert "| 50 × 300 MB | 15 GB |" in text
    assert "| 200 × 5.0 ms | 1 s |" in text
