"""The benchmarks still run; the figures themselves are not tested."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.suite.requests import REQUESTS
from benchmarks.suite.tokens import COMPANIES
from rkllm_twisted.cpu import library_path

PROJECT = Path(__file__).parents[2]
SUITE = "benchmarks.suite"
#: The rows that the short form compares.
ROWS = ("1 connection", "100 connections", "64 deep")
LATENCIES = ("added latency per token p50", "added latency per token p99")


def benchmark(module: str, *options: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a benchmark as its page says."""
    return subprocess.run(
        [sys.executable, "-m", module, *options],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=PROJECT,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the suite once with few clients and short times; return the directory of its report."""
    directory = tmp_path_factory.mktemp("report")
    done = benchmark(SUITE, "--quick", f"--out={directory}", seconds=300)
    assert done.returncode == 0, done.stderr
    return directory


def test_the_suite_writes_its_report(report: Path) -> None:
    """The report has a page, figures and plots."""
    figures = json.loads((report / "figures.json").read_text())
    assert len(figures["rows"]) == 58
    assert all(min(ratio.values()) > 0 for ratio in figures["ratios"]["1 connection"].values())
    page = (report / "figures.md").read_text()
    plots = re.findall(r"\((\S+\.svg)\)", page)
    assert len(plots) == len(set(plots)) == 19
    for plot in plots:
        assert (report / plot).read_bytes().startswith(b"<?xml")


def test_logits_and_embeddings_are_measured_in_both_forms(report: Path) -> None:
    """The report compares a request with Python's own json and measures a ping beside it."""
    rows = {row["title"]: row for row in json.loads((report / "figures.json").read_text())["rows"]}
    for what in ("logits, 1,000,", "an embedding of 2 × 1,536,"):
        for form in ("JSON", "base64"):
            request = rows[f"{what} as {form}: a request, p50"]
            assert len(request["values"]) == 3
            waited = rows[f"{what} as {form}: another's ping waits at most"]
            assert set(waited["values"]) == {"process", "thread"}
            for row in (request, waited):
                assert all(min(figures) > 0 for figures in row["values"].values())


def test_what_a_token_costs_has_the_limit_of_a_path_in_c(report: Path) -> None:
    """So have requests, the start, the recovery and the memory; the relay does nothing else."""
    rows = {row["title"]: row for row in json.loads((report / "figures.json").read_text())["rows"]}
    limited = {title for title, row in rows.items() if "relay" in row["values"]}
    assert limited == {
        "tokens at the runtime's full speed",
        "processor time of a million tokens",
        *(
            f"{figure}, {rate} tokens/s"
            for figure in ("processor time per token", *LATENCIES)
            for rate in ("20", "1,000")
        ),
        *(f"{figure}, {company.title}" for figure in LATENCIES for company in COMPANIES),
        *(f"processor time of {name}" for name in REQUESTS),
        "start until it accepts",
        "from accepting to the bundled model loaded",
        "from the kill of the runtime's process to the bundled model loaded again",
        "resident, idle",
        "proportional, idle",
    }
    assert {len(rows[title]["values"]["relay"]) for title in limited} == {1}


def test_each_figure_grows_along_each_axis(report: Path) -> None:
    """The axes are clients, message size and queue length."""
    curves = json.loads((report / "figures.json").read_text())["growth"]
    titles = {
        "round trips",
        "resident",
        "added latency per token p50",
        "added latency per token p99",
        "tokens at full speed",
        "processor time of a million tokens",
    }
    axes = {"idle clients", "bytes of a message", "calls in the queue"}
    assert {(c["title"], c["axis"]) for c in curves} == set(itertools.product(titles, axes))
    for curve in curves:
        places = curve["values"]["ours"]
        assert len(places) == len(curve["places"]) == 4
        assert all(len(place) == 1 and place[0] > 0 for place in places)


def test_a_quick_run_does_not_overwrite_the_record() -> None:
    """The error names another place for the figures."""
    done = benchmark(SUITE, "--quick")
    assert done.returncode == 2
    assert "add --out DIRECTORY" in done.stderr


@pytest.mark.parametrize(("recorded", "code"), [(0.001, 0), (1000.0, 1)])
def test_the_short_form_fails_where_a_ratio_has_fallen(
    tmp_path: Path, recorded: float, code: int
) -> None:
    """One of the two recorded ratios is far above the measured one."""
    record = tmp_path / "figures.json"
    record.write_text(json.dumps({"ratios": {row: {"echo": {"median": recorded}} for row in ROWS}}))
    done = benchmark(SUITE, "--check", "--quick", f"--record={record}")
    assert done.returncode == code, done.stderr
    verdict = "SLOWER" if code else "ok"
    assert [line.split()[0] for line in done.stdout.splitlines()] == [verdict] * 3


def test_the_short_form_needs_the_rows_that_it_compares(tmp_path: Path) -> None:
    """The error says how to make a new record."""
    record = tmp_path / "figures.json"
    record.write_text('{"ratios": {}}')
    done = benchmark(SUITE, "--check", "--quick", f"--record={record}")
    assert done.returncode == 1
    assert "make bench" in done.stderr


def test_the_record_has_the_rows_that_ci_compares() -> None:
    """`make bench-check` would not start without them."""
    ratios = json.loads((PROJECT / "docs/performance/figures.json").read_text())["ratios"]
    assert all(ratios[row]["echo"]["median"] > 0 for row in ROWS)


def test_beside_compares_a_checkout_with_itself() -> None:
    """The test measures each row once; both daemons are the same."""
    python = f"--python={sys.executable}"
    done = benchmark("benchmarks.beside", str(PROJECT), "--quick", python)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 23
    assert all(len(row) == 6 and "–" not in row[2:4] for row in rows)


def test_beside_names_the_checkout_that_is_not_installed(tmp_path: Path) -> None:
    """Else the daemon that is installed would be compared with itself."""
    done = benchmark("benchmarks.beside", str(tmp_path), f"--python={sys.executable}")
    assert done.returncode == 1
    assert f"The daemon of {tmp_path} is not installed for {sys.executable}" in done.stderr


def test_limits_prints_its_table() -> None:
    """The test uses few clients and short times."""
    done = benchmark("benchmarks.limits", "--quick")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 17
    assert all(row.count("|") == 5 for row in rows)


def test_isolation_prints_its_table() -> None:
    """The test uses few clients and short streams, and does not stop daemons, which is slow."""
    done = benchmark("benchmarks.isolation", "--quick")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 23
    assert all(row.count("|") == 5 for row in rows)


def test_conversations_prints_its_tables() -> None:
    """The test asks the bundled model only, in one conversation, once."""
    options = ["--quick", "--turns", "4", "--conversations", "1", "--model", "absent"]
    done = benchmark("benchmarks.conversations", *options)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 3 * 3
    assert rows[-1].startswith("| 1 conversation, turn 4: tokens read | ")
    assert "rkllm demo --model smollm2" in done.stdout


def test_http_prints_its_tables() -> None:
    """The test uses few clients and short streams."""
    done = benchmark("benchmarks.http", "--quick")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == (11 + 2) + (6 + 2) + (4 + 2)
    assert any(row.startswith("| 20 streams of 20 tokens/s: late by, p99 | ms |") for row in rows)


def test_builds_of_the_engine_are_compared(tmp_path: Path) -> None:
    """A build beside its copy."""
    library = library_path("1.3.0")
    copy = shutil.copy(library, tmp_path)
    done = benchmark("benchmarks.engine", "--turns=1", str(library), str(copy))
    assert done.returncode == 0, done.stderr
    rates = re.findall(r"^\| (generated|read) \| .* \| ([\d,]+) \| ", done.stdout, re.M)
    assert [name for name, _ in rates] == ["generated", "generated", "read", "read"]
    assert all(int(rate.replace(",", "")) > 0 for _, rate in rates)
