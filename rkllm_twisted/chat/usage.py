"""Counts the tokens and the time of an answer."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Usage:
    """Tokens and times of one answer.

    :param prompt_tokens: the tokens of the whole prompt, with those in the cache.
    :param cached_tokens: the tokens of the prompt that were not read again.
    :param completion_tokens: the tokens of the answer, with the end token if the runtime counts it.
    :param reasoning_tokens: the tokens of the answer that are reasoning.
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
        """The tokens of prompt and answer."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """Return the sum, e.g. of several answers to one request."""
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

    :param perf: the figures of the last result (``RKLLMPerfStat``, since 1.2.1); None in older
        releases and for an aborted run.
    :param cached: the number of tokens in the cache before the run.
    :param reading: the number of tokens of the run's input; None if not counted.
    :param written: the number of the answer's tokens, as counted here.
    """
    perf = perf or {}
    # ``prefill_tokens`` counts the tokens that this run has read.
    read = reading if reading is not None else int(perf.get("prefill_tokens", 0))
    return Usage(
        cached + read,
        cached,
        int(perf.get("generate_tokens", 0)) or written,
        min(reasoning, written),
        float(perf.get("prefill_time_ms", 0.0)),
        float(perf.get("generate_time_ms", 0.0)),
    )
