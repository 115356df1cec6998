"""A board of a fleet in a process of its own, which serves calls that never end.

Run with the router's address, the board's name and its key's file; it prints a line when it has
joined and offers its URI.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.values import Invocation, Role, model_uri
from rkllm_twisted.fleet.wamp.engine import WAMPEngine


def serve(invocation: Invocation) -> Deferred[None]:
    invocation.progress("begun")
    return Deferred()


def main(url: str, name: str, key: str) -> None:
    engine = WAMPEngine(reactor, url, name, Role.BOARD, keys.read(Path(key)))
    engine.announce({"pid": name})
    offered = engine.offer(model_uri("Demo"), serve, 1)
    offered.addCallback(lambda _: print("offered", flush=True))
    engine.join()
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:])
