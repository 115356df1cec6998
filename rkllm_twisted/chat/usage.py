"""The numbers of tokens and the times of an answer."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Usage:
    """Tokens and times of one answer.

    :param prompt_tokens: how many tokens the prompt has, with those in the cache.
    :param cached_tokens: how many of the prompt's tokens were in the cache and were not read again.
    :param completion_tokens: how many tokens the model wrote. The end token is among them if the
        runtime counts it.
    :param reasoning_tokens: how many of the written tokens were reasoning.
    :param prefill_ms: the time for reading, in milliseconds.
    :param generate_ms: the time for writing, in milliseconds.
    """

    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    prefill_ms: float = 0.0
    generate_ms: float = 0.0

    @property
    def total_tokens(self) -> int:
        """The number of tokens of prompt and answer together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """Return the sum, e.g. for several answers to one request."""
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Usage(*(one + another for one, another in pairs))


def usage_of(
    perf: Mapping[str, float] | None,
    *,
    cached: int,
    reading: int | None,
    written: int,
    reasoning: int = 0,
) -> Usage:
    """Return the usage of a run.

    :param perf: the RKLLMPerfStat of the run's last result (since 1.2.1); None in older releases
        and if the run was aborted.
    :param cached: how many tokens were in the cache before the run.
    :param reading: how many tokens the run's input has; None if not counted.
    :param written: how many tokens the callbacks reported.
    :param reasoning: how many of the written tokens were reasoning.
    """
    perf = perf or {}
    # ``prefill_tokens`` counts only the tokens that this run read.
    read = reading if reading is not None else int(perf.get("prefill_tokens", 0))
    return Usage(
        cached + read,
        cached,
        int(perf.get("generate_tokens", 0)) or written,
        min(reasoning, written),
        float(perf.get("prefill_time_ms", 0.0)),
        float(perf.get("generate_time_ms", 0.0)),
    )
