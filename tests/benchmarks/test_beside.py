"""The table beside another checkout marks what misses its target, and what cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.beside import BEFORE, NOW, line, measured
from benchmarks.suite.bench import QUICK, Bench
from benchmarks.suite.contenders import daemon
from benchmarks.suite.programs import Programs
from benchmarks.suite.ratios import Row


def rate(*now: float) -> Row:
    """Make a row in which six times the rate before, which is 1, is aimed for."""
    values = {BEFORE: [1.0] * len(now), NOW: now}
    return Row("tokens at the runtime's full speed", "tokens/s", values)


def cost(*now: float) -> Row:
    """Make a row in which 0.94 of the time before, which is 1, is aimed for."""
    values = {BEFORE: [1.0] * len(now), NOW: now}
    return Row("start until it accepts", "ms", values, more_is_better=False, limit=0.1)


def memory(*now: float) -> Row:
    """Make a row with a limit of 48."""
    values = {BEFORE: [96.0] * len(now), NOW: now}
    return Row("resident, idle", "MB", values, more_is_better=False, limit=48.0)


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (rate(5, 6, 7), ["6.00", "6.00 (5.00 – 7.00)", "≥ 6 ×"]),
        (rate(5, 5, 7), ["5.00", "**5.00 (5.00 – 7.00)**", "≥ 6 ×"]),
        (cost(0.5, 0.9, 1), ["0.90", "0.90 (0.50 – 1.00)", "≤ 0.94 ×"]),
        (cost(0.5, 0.95, 1), ["0.95", "**0.95 (0.50 – 1.00)**", "≤ 0.94 ×"]),
        (memory(24, 48, 96), ["48.0", "0.50 (0.25 – 1.00)", "≤ 48 MB"]),
        (memory(24, 49, 96), ["**49.0**", "0.51 (0.25 – 1.00)", "≤ 48 MB"]),
    ],
)
def test_the_median_decides_whether_a_target_is_met(row: Row, shown: list[str]) -> None:
    """A ratio misses one of the ratios that are aimed for, a figure a limit."""
    assert line(row)[3:] == shown


def test_a_ratio_is_taken_within_an_alternation() -> None:
    """The medians' own ratio would be 1."""
    row = Row("x", "ms", {BEFORE: [1.0, 2.0, 3.0], NOW: [3.0, 2.0, 6.0]}, more_is_better=False)
    assert line(row)[2:] == ["2.00", "3.00", "2.00 (1.00 – 3.00)", ""]


def test_a_figure_of_nothing_has_no_ratio() -> None:
    """What a load takes beyond the library's time may be nothing."""
    row = Row("x", "ms", {BEFORE: [0.0], NOW: [1.0]}, more_is_better=False)
    assert line(row)[2:] == ["0.00", "1.00", "–", ""]


def test_what_the_other_daemon_cannot_do_is_measured_without_it(tmp_path: Path) -> None:
    """The table has a dash, and the reason is told."""

    def group(bench: Bench) -> list[Row]:
        if BEFORE in bench.measured:
            raise RuntimeError("the usage\nunknown option")
        return [Row("x", "ms", {name: [1.0] for name in bench.measured})]

    daemons = dict.fromkeys((BEFORE, NOW), daemon)
    bench = Bench(Programs(tmp_path), tmp_path, QUICK, (), measured=daemons, yardsticks=False)
    [row], failure = measured(bench, group)
    assert line(row)[2:] == ["–", "1.00", "–", ""]
    assert failure == "the usage unknown option"
