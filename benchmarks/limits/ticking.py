"""The measured daemon: a real one with a tick in its reactor every millisecond.

``python -m benchmarks.limits.ticking DIRECTORY OPTION…`` runs it. A second socket sends the ticks'
delays to each client.
"""

from __future__ import annotations

import sys
import time
from array import array
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.protocol import Factory, Protocol

from rkllm_twisted.tap import Options, makeService

reactor: Any = installed_reactor  # its type depends on the platform


def serve(directory: Path, arguments: list[str]) -> None:
    """Run the daemon, and send the ticks' delays to each client of a second socket."""
    options = Options()
    options.parseOptions([f"--socket={directory / 'sock'}", "--library=cpu", *arguments])
    service: Any = makeService(options, reactor)
    late = array("d")  # no objects for the garbage collector to look at

    def tick(due: float, spent: float) -> None:
        now, spent_now = time.monotonic(), time.thread_time()
        late.extend((now - due, spent_now - spent))
        reactor.callLater(0.001, tick, now + 0.001, spent_now)

    class Ticks(Protocol):
        """Send the delays and forget them."""

        def connectionMade(self) -> None:
            assert self.transport is not None
            self.transport.write(late.tobytes())
            self.transport.loseConnection()
            del late[:]

    reactor.listenUNIX(str(directory / "ticks"), Factory.forProtocol(Ticks))
    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    tick(time.monotonic(), time.thread_time())
    reactor.run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2:])
