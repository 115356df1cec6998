"""How much a test tries: ``make test`` has little time, ``make soak`` has more."""

from __future__ import annotations

import os

#: Seconds for each test of ``tests/soak``; None in ``make test``.
SOAK_SECONDS = os.environ.get("RKLLM_SOAK_SECONDS")


def repetitions(short: int, long: int) -> int:
    """Return how often to repeat something."""
    return short if SOAK_SECONDS is None else long
