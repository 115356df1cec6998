"""The page of the simulation, made of what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

#: What a board streams, in tokens per second.
TOKENS_S = 20
#: Boards of a cell, and of the fleet that is made of cells.
CELL, FLEET = 200, 10_000
#: Figures beyond these, in seconds, are those of a machine that has too little processor time: a
#: connection is lost when a ping is not answered for 3 s.
_LATE, _SLOW = 1.0, 20.0
_HEAD = """# Fleets

```
python -m benchmarks.fleet.simulation
```

writes this page. Light boards are members of a real fleet that play their runs themselves, many in
a process; router and front are real. The machine, which all of it shared with other programs:
{where}.
So how long a call takes and how late a token is are pessimistic; the processor time of router and
front is what carries over. Nothing here was measured on a board. A row says so where the machine
was overloaded: where a router, a front or a board cannot answer a ping for 3 s, its connection is
lost with all of its runs, and figures of that would say nothing.
"""
_CALLS = """
## {callers} clients, runs that end at once

| boards | calls/s | p50 | p99 | router, a call | front, a call |
|---|---|---|---|---|---|
"""
_STREAMS = """
## Every board streams

As many tokens in a second as two cores carry beside clients and boards. Router and front without
calls answer pings; that is a column of its own, in milliseconds of each second.

| boards | tokens/s | age, p50 / p99 | router, a token | front, a token | router, idle |\
 front, idle | a join | memory |
|---|---|---|---|---|---|---|---|---|
"""
_ARITHMETIC = """
## {fleet:,} boards, by arithmetic

Not measured: it follows from the {boards} boards above. A cell is a router with {cell} boards and
fronts of its own, and every board streams {tokens_s} tokens/s, which is the worst case. A token
costs less where more are read at once, so this is an upper limit. A router is one process, so where
more than one core follows, fewer boards of the cell may stream at once. Routers are not linked;
what chooses a cell is in front of the fronts.

| what | arithmetic | result |
|---|---|---|
"""
_NO_ARITHMETIC = """
The machine was overloaded with every number of boards, so nothing follows about more of them.
"""


@attrs.frozen
class Step:
    """What was measured with so many boards.

    :param join_ms: the router's processor time for each board that joined, in milliseconds.
    :param router_mb: the resident memory of the router's two processes, in MB.
    :param idle: the processor time of router and of front in a second without calls.
    :param calls: what :mod:`benchmarks.fleet.callers` says of runs that end at once.
    :param call_ms: the processor time of router and of front for a call.
    :param streams: the same of runs that stream.
    :param token_ms: the processor time of router and of front for a token.
    """

    boards: int
    join_ms: float
    router_mb: float
    idle: tuple[float, float]
    calls: dict[str, Any]
    call_ms: tuple[float, float]
    streams: dict[str, Any]
    token_ms: tuple[float, float]


def page(steps: Sequence[Step], callers: int, where: str) -> str:
    """Return the page.

    :param steps: in the order of their boards; the arithmetic takes the last good one.
    :param where: the machine and its load.
    """
    good = [step for step in steps if not overload(step.calls) and not overload(step.streams)]
    return "".join(
        [
            _HEAD.format(where=where),
            _CALLS.format(callers=callers),
            *(_row(_calls(step)) for step in steps),
            _STREAMS,
            *(_row(_streams(step)) for step in steps),
            *(_cells(good[-1]) if good else [_NO_ARITHMETIC]),
        ]
    )


def overload(figures: dict[str, Any]) -> str:
    """Return what shows that the machine had too little processor time; empty: nothing does.

    :param figures: what :mod:`benchmarks.fleet.callers` says, and ``again``, the runs that the
        front has made again because a connection was lost.
    """
    late, slow = (max(figures[name], default=0.0) for name in ("aged", "took"))
    signs = [
        (figures["lost"] > 0, f"{figures['lost']} runs were lost"),
        (figures["again"] > 0, f"{figures['again']} runs were made again"),
        (late > _LATE, f"tokens were late by {late:.1f} s"),
        (slow > _SLOW, f"runs took {slow:.0f} s"),
    ]
    seen = [text for is_seen, text in signs if is_seen]
    return f"machine overloaded: {', '.join(seen)}" if seen else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _calls(step: Step) -> Sequence[str]:
    if why := overload(step.calls):
        return (f"{step.boards}", why, *[""] * 4)
    rate = step.calls["runs"] / step.calls["seconds"]
    times = (f"{seconds:.2f} s" for seconds in step.calls["took"])
    return (f"{step.boards}", f"{rate:.0f}", *times, *(f"{ms:.2f} ms" for ms in step.call_ms))


def _streams(step: Step) -> Sequence[str]:
    if why := overload(step.streams):
        return (f"{step.boards}", why, *[""] * 7)
    rate = step.streams["tokens"] / step.streams["seconds"]
    half, most = (1000 * age for age in step.streams["aged"])
    return (
        f"{step.boards}",
        f"{rate:.0f}",
        f"{half:.1f} / {most:.1f} ms",
        *(f"{ms:.3f} ms" for ms in step.token_ms),
        *(f"{ms:.0f} ms/s" for ms in step.idle),
        f"{step.join_ms:.1f} ms",
        f"{step.router_mb:.0f} MB",
    )


def _cells(step: Step) -> Iterator[str]:
    yield _ARITHMETIC.format(boards=step.boards, fleet=FLEET, cell=CELL, tokens_s=TOKENS_S)
    for cells in _arithmetic(step):
        yield _row(cells)


def _arithmetic(step: Step) -> Iterator[Sequence[str]]:
    """Yield what follows, a row each: the load of a cell, then of all."""
    cells = FLEET // CELL
    yield "tokens/s of a cell", f"{CELL} × {TOKENS_S}/s", f"{CELL * TOKENS_S:,}"
    for name, token, idle in zip(("router", "fronts"), step.token_ms, step.idle, strict=True):
        cores = (CELL * TOKENS_S * token + idle) / 1000
        yield (
            f"cores for the {name} of a cell",
            f"{CELL * TOKENS_S:,}/s × {token:.3f} ms + {idle:.0f} ms/s",
            f"{cores:.2f}",
        )
        yield (
            f"streaming boards that keep one core for the {name} busy",
            f"(1,000 − {idle:.0f}) ms/s ÷ ({TOKENS_S}/s × {token:.3f} ms)",
            f"{(1000 - idle) / (TOKENS_S * token):.0f}",
        )
        yield f"cores for the {name} of all cells", f"{cells} × {cores:.2f}", f"{cells * cores:.0f}"
    yield "cells", f"{FLEET:,} ÷ {CELL}", f"{cells}"
    memory = cells * step.router_mb / 1000
    yield "memory of all routers", f"{cells} × {step.router_mb:.0f} MB", f"{memory:.0f} GB"
    for what, boards in (("a cell", CELL), ("a router with all boards", FLEET)):
        yield (
            f"processor time of the router until {what} is back",
            f"{boards:,} × {step.join_ms:.1f} ms",
            f"{boards * step.join_ms / 1000:.0f} s",
        )
