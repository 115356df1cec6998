"""Damaged bytes get JSON-RPC replies or the end of the connection (``support/fuzzing.py``)."""

from __future__ import annotations

from fuzzing import Fuzzer

EXECUTIONS = 20_000


def test_damaged_bytes_get_replies_or_the_end() -> None:
    """Nothing is raised or logged, and little is held; ``make soak`` does a million."""
    report = Fuzzer(seed=20260103).fuzz(EXECUTIONS)
    assert report.executions == EXECUTIONS
    assert report.replies > EXECUTIONS // 2
