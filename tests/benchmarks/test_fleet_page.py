"""The page of the simulated fleets."""

from __future__ import annotations

from benchmarks.fleet.page import Step, page


def step(boards: int) -> Step:
    calls = {"runs": 500, "seconds": 5.0, "took": [0.25, 0.5]}
    streams = {"tokens": 4000, "seconds": 5.0, "aged": [0.002, 0.0101], "lost": 3}
    return Step(boards, 5.0, 300.0, (10.0, 20.0), calls, (0.5, 1.5), streams, (0.1, 0.25))


def test_each_number_of_boards_has_a_row_in_both_tables() -> None:
    lines = page([step(1), step(200)], 200, "A machine").splitlines()
    assert "| 200 | 100 | 0.25 s | 0.50 s | 0.50 ms | 1.50 ms |" in lines
    [streams] = [line for line in lines if line.startswith("| 1 | 800 | 2.0 / 10.1 ms | 3 |")]
    assert streams.endswith("| 0.100 ms | 0.250 ms | 10 ms/s | 20 ms/s | 5.0 ms | 300 MB |")


def test_each_row_has_as_many_cells_as_its_table() -> None:
    lines = page([step(1)], 200, "A machine").splitlines()
    rows = [line.count("|") for line in lines if line.startswith("|")]
    assert len({*rows}) == 3
    assert sorted(rows, reverse=True)[:3] == [11, 11, 11]


def test_ten_thousand_boards_follow_from_the_last_row() -> None:
    text = page([step(1), step(200)], 200, "A machine")
    assert "| 4,000/s × 0.100 ms + 10 ms/s | 0.41 |" in text
    assert "| (1,000 − 20) ms/s ÷ (20/s × 0.250 ms) | 196 |" in text
    assert "| 50 × 1.02 | 51 |" in text
    assert "| 10,000 ÷ 200 | 50 |" in text
    assert "| 50 × 300 MB | 15 GB |" in text
    assert "| 200 × 5.0 ms | 1 s |" in text
