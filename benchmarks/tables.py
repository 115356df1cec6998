"""What the benchmarks print: rows beside their targets, and on what they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence

#: What was measured, the figure, its target, and whether that is met.
Row = tuple[str, str, str, bool]


def row(what: str, measured: str, target: str = "", met: bool = True) -> Row:
    """A line of the table."""
    return what, measured, target, met


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so many do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(seconds: Sequence[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    return f"{1000 * percentile(seconds, 0.5):.2f} / {1000 * percentile(seconds, 0.99):.2f} ms"


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    rows = [f"| {' | '.join(line)} |" for line in [head, *lines]]
    return "\n".join([rows[0], "|---" * len(head) + "|", *rows[1:]])


def table(rows: Iterable[Row]) -> str:
    """Write the rows."""
    return markdown(
        ["what", "measured", "target", "met"],
        [
            (what, measured, target, ("yes" if met else "**no**") if target else "")
            for what, measured, target, met in rows
        ],
    )


def machine() -> str:
    """What it was measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def loads(before: float) -> str:
    """How busy the machine was, with what else it does."""
    return f"load average {before:.1f} before and {os.getloadavg()[0]:.1f} after"
