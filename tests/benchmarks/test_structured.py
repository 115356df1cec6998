"""The benchmark of answers in a form reports the median of its turns."""

from __future__ import annotations

from benchmarks.structured import Turn, report


def test_the_median_decides_whether_the_target_is_met() -> None:
    turns = [Turn(50, 50 * more, 1, 3) for more in (1.1, 1.12, 2.0)]
    text = report({"a form": turns, "another": [Turn(50, 75, 1, 2)]})
    assert "| a form: more | 12.0 % (10.0 to 100.0) | ≤ 15 % | yes |" in text
    assert "| another: more | 50.0 % (50.0 to 50.0) | ≤ 15 % | **no** |" in text
    assert "| a form: processor time more, of all processes | 2.0 ms, 4.0 % of a run |" in text
