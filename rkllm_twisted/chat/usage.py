"""What an answer cost."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Usage:
    """Tokens and times of one answer.

    :param prompt_tokens: of the whole prompt, what was in the cache included.
    :param cached_tokens: of these, what was not read again.
    :param completion_tokens: that the model wrote, the end token included if the runtime counts it.
    :param reasoning_tokens: of these.
    :param prefill_ms: reading, milliseconds.
    :param generate_ms: writing, milliseconds.
    """

    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    prefill_ms: float = 0.0
    generate_ms: float = 0.0

    @property
    def total_tokens(self) -> int:
        """Of prompt and answer."""
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

    :param perf: of the finishing result (``RKLLMPerfStat``, 1.2.1 on); None in older releases and
        when a run was aborted.
    :param cached: tokens that were in the cache before.
    :param reading: tokens of the run's input; None if not counted.
    :param written: tokens that came, as counted here.
    """
    perf = perf or {}
    # ``prefill_tokens`` counts what was read now.
    read = reading if reading is not None else int(perf.get("prefill_tokens", 0))
    return Usage(
        cached + read,
        cached,
        int(perf.get("generate_tokens", 0)) or written,
        min(reasoning, written),
        float(perf.get("prefill_time_ms", 0.0)),
        float(perf.get("generate_time_ms", 0.0)),
    )
