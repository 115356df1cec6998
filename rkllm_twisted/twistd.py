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

        with _one_sentence():
            super().startService()
        reactor.callWhenRunning(_stop_on_signals, reactor)


def _stop_on_signals(reactor: Any) -> None:
    def stop(*_: object) -> None:
        for number in STOPPING:  # a second signal is not more urgent than the first
            signal.signal(number, signal.SIG_IGN)
        reactor.callFromThread(reactor.stop)

    for number in STOPPING:
        signal.signal(number, stop)


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    terminal = _Terminal()
    with _one_sentence():
        tap.makeService(options).setServiceParent(terminal)
    return terminal
