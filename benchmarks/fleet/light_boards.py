"""Boards without a daemon, many in a process: python -m benchmarks.fleet.light_boards.

Its arguments are the router's address, the directory of the private keys, and the boards' names. It
prints a line when all have joined. A run's prompt says what it plays: tokens, and milliseconds from
one to the next; the text of a token is the time at which it was sent.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.task import LoopingCall

from rkllm_twisted.fleet import keys
from rkllm_twisted.fleet.values import Invocation, Role, board_uri
from rkllm_twisted.fleet.wamp.engine import WAMPEngine

MODEL = "light"
#: What a board says of itself; a front knows by itself what it has given to whom.
STATE = {"state": "loaded", "model": MODEL, "offered": MODEL, "running": False, "queue_length": 0}


def result(text: str, state: int = 0) -> dict[str, Any]:
    """Return a result as a daemon sends it."""
    return {"text": text, "token_id": 0, "state": state}


class LightBoard:
    """One board."""

    def __init__(self, url: str, name: str, key: Path) -> None:
        self._name = name
        self.engine = WAMPEngine(reactor, url, name, Role.BOARD, keys.read(key))

    def join(self) -> Deferred[None]:
        """Join; the Deferred fires when fronts may call."""
        self.engine.announce(STATE)
        offered = self.engine.offer(board_uri(self._name, "run"), self._serve)
        self.engine.join()
        return offered

    def _serve(self, invocation: Invocation) -> Deferred[Any]:
        (given, *_) = invocation.payload["params"]
        tokens, pace_ms = map(int, given["prompt_input"].split())
        last = {"board": self._name, "result": result("", 2)}
        if not pace_ms:
            return succeed(last)

        def send() -> None:
            nonlocal tokens
            invocation.progress(result(str(time.monotonic_ns() // 1000)))
            tokens -= 1
            if not tokens:
                playing.stop()

        playing = LoopingCall(send)
        ended: Deferred[Any] = playing.start(pace_ms / 1000)
        return ended.addCallback(lambda _: last)


def main(url: str, directory: str, *names: str) -> None:
    """Run the boards until the process is ended."""
    boards = [LightBoard(url, name, Path(directory) / f"{name}.key") for name in names]
    joined = gatherResults([board.join() for board in boards])
    joined.addCallback(lambda _: print("joined", flush=True))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:])
