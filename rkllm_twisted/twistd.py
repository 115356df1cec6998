"""``twistd rkllm``: the same parts as :mod:`rkllm_twisted.tap`, for a person at a terminal.

A daemon that cannot start says why in one sentence and exits with status 1, where an application
that embeds the service gets the exception.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.application.service import IService, MultiService

from rkllm_twisted import tap
from rkllm_twisted.errors import StartupError
from rkllm_twisted.tap import Options

__all__ = ["Options", "makeService"]


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except StartupError as error:
        sys.exit(f"twistd rkllm: {error}")


class _Terminal(MultiService):
    """Turns the errors of starting into sentences."""

    def privilegedStartService(self) -> None:
        with _one_sentence():
            super().privilegedStartService()

    def startService(self) -> None:
        with _one_sentence():
            super().startService()


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    terminal = _Terminal()
    with _one_sentence():
        tap.makeService(options).setServiceParent(terminal)
    return terminal
