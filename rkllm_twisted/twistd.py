"""``twistd rkllm``: the same parts as :mod:`rkllm_twisted.tap`, for a person at a terminal.

A daemon that cannot start says why in one sentence and exits with status 1, where an application
that embeds the service gets the exception.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.application.service import IService, MultiService

from rkllm_twisted import tap
from rkllm_twisted.errors import StartupError
from rkllm_twisted.tap import Options

__all__ = ["Options", "makeService"]

STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except StartupError as error:
        sentence = f"twistd rkllm: {error}"
        if sys.stderr is not sys.__stderr__ and sys.__stderr__ is not None:
            print(sentence, file=sys.__stderr__)  # sys.stderr is the log by now
        sys.exit(sentence)


class _Terminal(MultiService):
    """Turns the errors of starting into sentences, and signals into a clean end.

    twistd's own handlers would let the process die of the signal once everything has stopped; an
    ordered stop is a success and exits with 0.
    """

    def privilegedStartService(self) -> None:
        with _one_sentence():
            super().privilegedStartService()

    def startService(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

        stopping = _Stopping(reactor)
        stopping.listen()  # before anybody can know that the daemon is there
        with _one_sentence():
            super().startService()
        reactor.callWhenRunning(stopping.running)


class _Stopping:
    """Makes SIGTERM and SIGINT an ordered stop. A second one is not more urgent than the first."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._is_running = self._asked = False

    def listen(self) -> None:
        """Take the signals."""
        for number in STOPPING:
            signal.signal(number, self._stop)

    def running(self) -> None:
        """Take them again, from the reactor, which has begun; stop it if one has come before."""
        self.listen()
        self._is_running = True
        if self._asked:
            self._reactor.stop()

    def _stop(self, *_: object) -> None:
        if self._is_running and not self._asked:
            self._reactor.callFromThread(self._reactor.stop)
        self._asked = True


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    terminal = _Terminal()
    with _one_sentence():
        tap.makeService(options).setServiceParent(terminal)
    return terminal
