"""What the benchmarks' page says of figures: targets that are met, missed, and missed by chance."""

from __future__ import annotations

import pytest

from benchmarks.suite.growth import Curve
from benchmarks.suite.ratios import Row, Spread
from benchmarks.suite.report import Report


def page(row: Row) -> str:
    """The page about one row."""
    if "ours" in row.values:
        return Report([row], {}, [], 1.0).markdown()
    return Report([ratio(1.0)], {"Others": [row]}, [], 1.0).markdown()


def ratio(*ours: float) -> Row:
    """A row of ours beside an echo that gives 1 each time, which is the least."""
    values = {"ours": ours, "echo": [1.0] * len(ours)}
    return Row("the row", "1/s", values, targets={"echo": 1.0})


def limited(*figures: float) -> Row:
    """A row of which 70 is the most."""
    values = {"process": figures, "thread": [1.0]}
    return Row("the row", "MB", values, more_is_better=False, limit=70.0)


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (ratio(0.5, 1.1, 3.0), "| 1.10 (0.50 – 3.00) |"),
        (ratio(0.5, 0.9, 1.0), "| **0.90 (0.50 – 1.00)** ~ |"),
        (ratio(0.5, 0.9, 0.99), "| **0.90 (0.50 – 0.99)** |"),
        (limited(60, 70, 90), "| 70.0 (60.0 – 90.0) |"),
        (limited(70, 71, 90), "| **71.0 (70.0 – 90.0)** ~ |"),
        (limited(71, 72, 73), "| **72.0 (71.0 – 73.0)** |"),
    ],
)
def test_the_median_decides_and_the_spread_is_told(row: Row, shown: str) -> None:
    """Bold is missed; a tilde behind it says that an alternation met the target."""
    assert shown in page(row)


def test_less_is_better_where_it_is() -> None:
    """A ratio says how many times as good ours is, also of times."""
    row = Row("set-up", "µs", {"ours": [2.0], "echo": [1.0]}, more_is_better=False)
    assert row.ratio("ours", "echo") == Spread(0.5, 0.5, 0.5)


def test_the_json_has_the_targets_that_are_missed() -> None:
    """Whose, by how much, and whether within the spread."""
    report = Report([ratio(0.5, 0.9, 1.0)], {"Others": [limited(71, 72, 73)]}, [], 1.0)
    assert report.as_json()["missed"] == [
        {
            "row": "the row",
            "name": "ours",
            "other": "echo",
            "target": 1.0,
            "spread": {"median": 0.9, "low": 0.5, "high": 1.0},
            "within_spread": True,
        },
        {
            "row": "the row",
            "name": "process",
            "other": None,
            "target": 70.0,
            "spread": {"median": 72, "low": 71, "high": 73},
            "within_spread": False,
        },
    ]


def test_growth_is_a_ratio_within_each_turn() -> None:
    """To the same turn's figure at the first place."""
    curve = Curve("resident", "clients", "MB", [1, 2], {"ours": [[10.0, 20.0], [20.0, 60.0]]})
    assert curve.growth("ours", 1) == Spread(2.5, 2.0, 3.0)
    page = Report([ratio(1.0)], {}, [curve], 1.0).markdown()
    assert "| 1 | 15.0 (10.0 – 20.0) |" in page
    assert "| 2 | 40.0 × 2.50 (2.00 – 3.00) |" in page
