"""The tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.conversations.measure import Result
from benchmarks.suite.ratios import Spread
from benchmarks.tables import Row, markdown, row, table

OURS, CLEARED = "the daemon", "the daemon, cache cleared before"
#: Interleaved conversations: how many times the peer's time at most.
MOST = 1.2


def times(results: Sequence[Result]) -> str:
    """Write the seconds to the first text, and how many tokens were read for it."""
    names = list(results[0].answers)
    lines = []
    for result in results:
        cells = [_first(result, name) for name in names]
        lines.append([result.case.title, f"{_prompt(result):.0f}", *cells])
    return markdown(["what", "prompt, tokens", *names], lines)


def _first(result: Result, name: str) -> str:
    return f"{1000 * result.first(name).median:,.1f} ms, {result.read(name):.0f} read"


def _prompt(result: Result) -> float:
    return max(answer.prompt for answers in result.answers.values() for answer in answers)


def ratios(results: Sequence[Result], targets: Mapping[str, float]) -> str:
    """Write how many times the others' time to the first text ours is.

    :param targets: contender -> how many times its time is allowed where conversations alternate.
    """
    names = [name for name in results[0].answers if name != OURS]
    lines = []
    for result in results:
        alternate = result.case.conversations > 1
        cells = [
            _times(result.times(OURS, name), targets.get(name) if alternate else None)
            for name in names
        ]
        lines.append([result.case.title, *cells])
    return markdown(["the daemon's time, as a multiple of that of", *names], lines)


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
