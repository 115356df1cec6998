"""The benchmarks still run; what they measure is no test's business."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def test_the_suite_writes_its_report(tmp_path: Path) -> None:
    """Page, figures and plots; with few clients, for fractions of a second, in one turn."""
    command = [sys.executable, str(PROJECT / "benchmarks" / "suite"), "--quick"]
    done = subprocess.run(
        [*command, f"--out={tmp_path}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["rows"]) == 26
    assert all(min(ratio.values()) > 0 for ratio in figures["ratios"]["1 connection"].values())
    page = (tmp_path / "figures.md").read_text()
    plots = re.findall(r"\((\S+\.svg)\)", page)
    assert len(plots) == 9
    for plot in plots:
        assert (tmp_path / plot).read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(("recorded", "code"), [(0.001, 0), (1000.0, 1)])
def test_the_short_form_fails_where_a_ratio_has_fallen(
    tmp_path: Path, recorded: float, code: int
) -> None:
    """Far below the recorded one."""
    rows = ("1 connection", "100 connections", "64 deep")
    record = tmp_path / "figures.json"
    record.write_text(json.dumps({"ratios": {row: {"echo": {"median": recorded}} for row in rows}}))
    command = [sys.executable, str(PROJECT / "benchmarks" / "suite"), "--check", "--quick"]
    done = subprocess.run(
        [*command, f"--record={record}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    verdict = "SLOWER" if code else "ok"
    assert [line.split()[0] for line in done.stdout.splitlines()] == [verdict] * 3


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
    assert len(rows) == 17
    assert all(row.count("|") == 5 for row in rows)


def test_isolation_prints_its_table() -> None:
    """With few clients and short streams; how a daemon ends, which takes long, is left out."""
    command = [sys.executable, str(PROJECT / "benchmarks" / "isolation.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 23
    assert all(row.count("|") == 5 for row in rows)
