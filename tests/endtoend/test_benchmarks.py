"""The benchmarks still run; what they measure is no test's business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_arrays_prints_its_table() -> None:
    """With small arrays, once."""
    command = [sys.executable, str(PROJECT / "benchmarks" / "arrays.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 8
    assert all(row.count("|") == 7 for row in rows)


def test_limits_prints_its_table() -> None:
    """With few clients, for fractions of a second."""
    command = [sys.executable, str(PROJECT / "benchmarks" / "limits.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 15
    assert all(row.count("|") == 5 for row in rows)
