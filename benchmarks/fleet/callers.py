"""Clients of a front, many in a process: python -m benchmarks.fleet.callers.

Its arguments are the front's socket, how many clients there are, the seconds for which each asks
again when it is answered, and what a run plays (see :mod:`benchmarks.fleet.light_boards`). It
prints a line of JSON: runs, seconds, and the percentiles of what a run took and of the tokens' age.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from benchmarks.tables import percentile
from rkllm_twisted.client import Client, connect
from rkllm_twisted.errors import RPCError


@attrs.define
class Figures:
    """What came of all clients: seconds of runs, seconds of tokens, runs that were lost."""

    runs: list[float] = attrs.field(factory=list)
    ages: list[float] = attrs.field(factory=list)
    lost: int = 0


async def asked(client: Client, until: float, plays: str, figures: Figures) -> None:
    """Ask, and again until that time."""
    while True:
        began = time.monotonic()
        try:
            async for part in client.stream("rkllm.run_async", [{"prompt_input": plays}]):
                if part["text"]:
                    age = time.monotonic() - int(part["text"]) / 1e6
                    figures.ages.append(age)
            figures.runs.append(time.monotonic() - began)
        except RPCError:  # a process had no processor for the time of a ping
            figures.lost += 1
        if time.monotonic() >= until:
            return


async def measure(reactor: Any, path: str, count: int, seconds: float, plays: str) -> None:
    """Connect all clients, then ask, and print what came of it."""
    clients = await gatherResults([connect(reactor, path) for _ in range(count)])
    figures = Figures()
    began = time.monotonic()
    asking = [
        Deferred.fromCoroutine(asked(client, began + seconds, plays, figures)) for client in clients
    ]
    await gatherResults(asking)
    counts = {"runs": len(figures.runs), "tokens": len(figures.ages), "lost": figures.lost}
    times = {"took": figures.runs, "aged": figures.ages}
    shares = {
        name: [percentile(of, share) for share in (0.5, 0.99)] if of else []
        for name, of in times.items()
    }
    print(json.dumps({**counts, "seconds": time.monotonic() - began, **shares}))
    await gatherResults([client.close() for client in clients])


def main(reactor: Any, path: str, count: str, seconds: str, plays: str) -> Deferred[None]:
    """Measure for the program."""
    return Deferred.fromCoroutine(measure(reactor, path, int(count), float(seconds), plays))


if __name__ == "__main__":
    react(main, sys.argv[1:])
