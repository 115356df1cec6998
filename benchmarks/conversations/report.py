"""The tables."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from benchmarks.conversations.measure import Result
from benchmarks.suite.ratios import Spread
from benchmarks.tables import Row, markdown, row, table

OURS, CLEARED, SAVING = "the daemon", "after another's run", "--cache-dir"


def times(results: Sequence[Result]) -> str:
    """Write the seconds to the first text, and how many tokens were read for it."""
    names = list(results[0].answers)
    lines = []
    for result in results:
        cells = [_first(result, name) if name in result.answers else "–" for name in names]
        lines.append([result.case.title, f"{_prompt(result):.0f}", *cells])
    return markdown(["what", "prompt, tokens", *names], lines)


def _first(result: Result, name: str) -> str:
    return f"{1000 * result.first(name).median:,.1f} ms, {result.read(name):.0f} read"


def _prompt(result: Result) -> float:
    return max(answer.prompt for answers in result.answers.values() for answer in answers)


@attrs.frozen
class Comparison:
    """Two contenders, and how many times the other's time is allowed where conversations alternate.

    :param most: None if there is no target.
    """

    ours: str
    other: str
    most: float | None = None


def ratios(results: Sequence[Result], comparisons: Sequence[Comparison]) -> str:
    """Write how many times the others' time to the first text ours is."""
    lines = []
    for result in results:
        alternate = result.case.conversations > 1
        cells = [
            _times(result.times(each.ours, each.other), each.most if alternate else None)
            if each.other in result.answers
            else "–"
            for each in comparisons
        ]
        lines.append([result.case.title, *cells])
    titles = [f"{each.ours} ÷ {each.other}" for each in comparisons]
    return markdown(["time to the first text", *titles], lines)


def _times(spread: Spread, most: float | None) -> str:
    text = f"{spread.median:.2f} ({spread.low:.2f} – {spread.high:.2f})"
    if most is None or spread.median <= most:
        return text
    return f"**{text}**{' ~' if spread.low <= most else ''}"


def read_again(results: Sequence[Result]) -> str:
    """Write whether a conversation that goes on reads no more than its new question."""
    return table([_read_again(result) for result in results if _goes_on(result)])


def _goes_on(result: Result) -> bool:
    return result.case.conversations == 1 and result.case.turn > 1


def _read_again(result: Result) -> Row:
    read = max(answer.read for answer in result.answers[OURS])
    target = f"≤ {result.alone}, the question alone"
    return row(f"{result.case.title}: tokens read", f"{read}", target, read <= result.alone)
