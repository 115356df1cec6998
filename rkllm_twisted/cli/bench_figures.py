"""The figures of ``rkllm bench``, without I/O."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.client_core.results import Perf, Result
from rkllm_twisted.values import RunState


@attrs.frozen
class Sample:
    """One run, as the client has measured it.

    :param first_s: seconds from the prompt to the first token.
    :param last_s: seconds from the prompt to the last token.
    :param tokens: how many tokens came.
    :param perf: the runtime's own figures, on releases that have them.
    """

    first_s: float
    last_s: float
    tokens: int
    perf: Perf | None = None

    @property
    def rate(self) -> float:
        """Tokens per second of the whole answer, including the wait for the first token."""
        return self.tokens / self.last_s


@attrs.define
class Stopwatch:
    """Measures a run from its results and the time of each."""

    begun: float
    _first: float | None = None
    _last: float = 0.0
    _tokens: int = 0
    _perf: Perf | None = None

    def add(self, result: Result, at: float) -> None:
        """Add a result that came at a time in seconds."""
        if result.state in (RunState.NORMAL, RunState.WAITING):
            self._first = at if self._first is None else self._first
            self._last = at
            self._tokens += 1
        self._perf = result.perf or self._perf

    def sample(self) -> Sample:
        """Return the sample of the run.

        :raises ValueError: if no token came.
        """
        if self._first is None:
            raise ValueError("No token came.")
        return Sample(self._first - self.begun, self._last - self.begun, self._tokens, self._perf)


@attrs.frozen
class Spread:
    """The median, the minimum and the maximum of some figures."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """Return the spread of the figures that are not None; None if there are none."""
        known = [value for value in values if value is not None]
        return cls(statistics.median(known), min(known), max(known)) if known else None


@attrs.frozen
class PromptFigures:
    """A prompt, and the samples of its runs."""

    prompt: str
    samples: Sequence[Sample]

    @property
    def first_ms(self) -> Spread | None:
        """Milliseconds to the first token."""
        return Spread.of([sample.first_s * 1000 for sample in self.samples])

    @property
    def rate(self) -> Spread | None:
        """Tokens per second, measured by the client from the prompt on."""
        return Spread.of([sample.rate for sample in self.samples])

    @property
    def generate_rate(self) -> Spread | None:
        """Tokens of the answer per second, by the runtime's own figures."""
        return Spread.of([s.perf.generate_rate if s.perf else None for s in self.samples])

    @property
    def prefill_rate(self) -> Spread | None:
        """Tokens of the prompt per second, by the runtime's own figures."""
        return Spread.of([s.perf.prefill_rate if s.perf else None for s in self.samples])

    @property
    def tokens(self) -> Spread | None:
        """Tokens of an answer."""
        return Spread.of([sample.tokens for sample in self.samples])

    def to_json(self) -> Mapping[str, Any]:
        """Return all figures and samples, for ``--json``."""
        figures = {
            "first_token_ms": self.first_ms,
            "tokens_per_second": self.rate,
            "generate_tokens_per_second": self.generate_rate,
            "prefill_tokens_per_second": self.prefill_rate,
            "tokens": self.tokens,
        }
        return {
            "prompt": self.prompt,
            **{name: value and attrs.asdict(value) for name, value in figures.items()},
            "samples": [attrs.asdict(sample) for sample in self.samples],
        }
