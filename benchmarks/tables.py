"""Tables of the benchmarks: rows with their targets, and a description of the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence

#: The name of the measurement, the figure, its target, and whether that is met.
Row = tuple[str, str, str, bool]


def row(what: str, measured: str, target: str = "", met: bool = True) -> Row:
    """Make a row of the table."""
    return what, measured, target, met


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(seconds: Sequence[float]) -> str:
    """Format median and 99th percentile in milliseconds."""
    return f"{1000 * percentile(seconds, 0.5):.2f} / {1000 * percentile(seconds, 0.99):.2f} ms"


def number(value: float) -> str:
    """Format a number with three digits, or with all digits of its integer part."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def markdown_line(cells: Sequence[str]) -> str:
    """Write a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    rows = [markdown_line(line) for line in [head, *lines]]
    return "\n".join([rows[0], "|---" * len(head) + "|", *rows[1:]])


def table(rows: Iterable[Row]) -> str:
    """Write the rows as a table."""
    return markdown(
        ["what", "measured", "target", "met"],
        [
            (what, measured, target, ("yes" if met else "**no**") if target else "")
            for what, measured, target, met in rows
        ],
    )


def machine() -> str:
    """Describe the machine that was measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def loads(before: float) -> str:
    """Tell how busy the machine was with other work."""
    return f"load average {before:.1f} before and {os.getloadavg()[0]:.1f} after"
