"""Measurements in turns, and their medians, ratios and spreads."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import attrs

from benchmarks.tables import number


@attrs.frozen
class Spread:
    """The spread of some figures.

    :param median: the median.
    :param low: the smallest.
    :param high: the largest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Make a spread of figures."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.low)} – {number(self.high)})"


@attrs.frozen
class Row:
    """One figure, measured for several contenders in turns.

    :param values: contender -> a figure for each alternation.
    :param unit: unit of the figures.
    :param more_is_better: whether a larger figure is better.
    :param targets: contender -> the least ratio that we aim for.
    :param limit: the highest figure that we aim for.
    """

    title: str
    unit: str
    values: Mapping[str, Sequence[float]]
    more_is_better: bool = True
    targets: Mapping[str, float] = attrs.field(factory=dict)
    limit: float | None = None

    def ratio(self, ours: str, other: str) -> Spread:
        """Return by which factor ours is better, for each alternation."""
        pairs = zip(self.values[ours], self.values[other], strict=True)
        if self.more_is_better:
            return Spread.of([mine / theirs for mine, theirs in pairs])
        return Spread.of([theirs / mine for mine, theirs in pairs])

    def spread(self, name: str) -> Spread:
        """Return the spread of one contender's figures."""
        return Spread.of(self.values[name])

    def missed_ratio(self, ours: str, other: str) -> Missed | None:
        """Tell whether our ratio to another contender is too small."""
        target, ratio = self.targets.get(other), self.ratio(ours, other)
        if target is None or ratio.median >= target:
            return None
        return Missed(self.title, ours, other, target, ratio, ratio.high >= target)

    def missed_limit(self, name: str) -> Missed | None:
        """Tell whether our figure is too high."""
        limit, spread = self.limit, self.spread(name)
        if limit is None or spread.median <= limit:
            return None
        return Missed(self.title, name, None, limit, spread, spread.low <= limit)


@attrs.frozen
class Missed:
    """A target that the median misses.

    :param other: the contender in the ratio; None for a limit of our own figure.
    :param target: the least ratio, or the highest figure.
    :param spread: spread of the ratio, or of the figure.
    :param within_spread: whether one of the alternations meets it.
    """

    row: str
    name: str
    other: str | None
    target: float
    spread: Spread
    within_spread: bool


Measure = Callable[[], Mapping[str, float]]


def in_turns(measures: Mapping[str, Measure], times: int) -> dict[str, dict[str, list[float]]]:
    """Measure each of several things in turns; each turn begins with the next one.

    :returns: name of the figure -> contender -> figures.
    """
    found: dict[str, dict[str, list[float]]] = {}
    names = list(measures)
    for turn in range(times):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            for figure, value in measures[name]().items():
                found.setdefault(figure, {}).setdefault(name, []).append(value)
    return found
