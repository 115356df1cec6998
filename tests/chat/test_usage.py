"""Token counts and timings of an answer."""

from __future__ import annotations

from rkllm_twisted.chat.usage import Usage, usage_of


def test_usage_is_the_runtimes_figures_and_what_was_cached() -> None:
    perf = {
        "prefill_time_ms": 20.5,
        "prefill_tokens": 8,
        "generate_time_ms": 90,
        "generate_tokens": 7,
    }
    usage = usage_of(perf, cached=100, reading=None, written=6, reasoning=3)
    assert usage == Usage(108, 100, 7, 3, 20.5, 90.0)
    assert usage.total_tokens == 115


def test_usage_without_the_runtimes_figures_is_counted() -> None:
    assert usage_of(None, cached=0, reading=9, written=5) == Usage(9, 0, 5)
    assert Usage(1, 0, 2, 0, 0.5) + Usage(1, 1, 1) == Usage(2, 1, 3, 0, 0.5)
