"""A million damaged messages on both cores."""

from __future__ import annotations

import os

from fuzzing import fuzz_on_all

EXECUTIONS = 1_000_000


def test_a_million_damaged_messages_get_replies_or_the_end() -> None:
    """The seeds differ from those of ``tests/server/test_damaged_messages.py``."""
    report = fuzz_on_all(os.cpu_count() or 1, EXECUTIONS, seed=20260104)
    print(report)
    assert report.executions == EXECUTIONS
    assert report.replies > EXECUTIONS // 2
