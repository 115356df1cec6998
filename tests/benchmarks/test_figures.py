"""The benchmarks' page marks targets that are met, missed, or missed by chance."""

from __future__ import annotations

import pytest

from benchmarks.suite.growth import Curve
from benchmarks.suite.ratios import Row, Spread
from benchmarks.suite.report import Report


def page(row: Row) -> str:
    """Return the page for one row."""
    if "ours" in row.values:
        return Report([row], {}, [], 1.0).markdown()
    return Report([ratio(1.0)], {"Others": [row]}, [], 1.0).markdown()


def ratio(*ours: float) -> Row:
    """Make a row of our figures; the echo's figure is always 1, and so is the target."""
    values = {"ours": ours, "echo": [1.0] * len(ours)}
    return Row("the row", "1/s", values, targets={"echo": 1.0})


def limited(*figures: float) -> Row:
    """Make a row with a limit of 70."""
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
    """A missed target is bold; a tilde means that an alternation met it."""
    assert shown in page(row)


def test_less_is_better_where_it_is() -> None:
    """The ratio says how many times better ours is, for durations as well."""
    row = Row("set-up", "µs", {"ours": [2.0], "echo": [1.0]}, more_is_better=False)
    assert row.ratio("ours", "echo") == Spread(0.5, 0.5, 0.5)


def test_the_json_has_the_targets_that_are_missed() -> None:
    """Each entry has the contender, the amount, and whether the spread meets the target."""
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
    """Growth is the ratio to the same turn's figure at the first place."""
    curve = Curve("resident", "clients", "MB", [1, 2], {"ours": [[10.0, 20.0], [20.0, 60.0]]})
    assert curve.growth("ours", 1) == Spread(2.5, 2.0, 3.0)
    page = Report([ratio(1.0)], {}, [curve], 1.0).markdown()
    assert "| 1 | 15.0 (10.0 – 20.0) |" in page
    assert "| 2 | 40.0 × 2.50 (2.00 – 3.00) |" in page
