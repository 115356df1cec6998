"""``twistd rkllm-board``: the service of :mod:`.assembly` under twistd.

A service that cannot start prints one sentence and exits with status 1; an application that embeds
it gets the exception.
"""

from __future__ import annotations

import os

from twisted.application.service import IService

from rkllm_twisted.daemon.monotonic import use_monotonic_time
from rkllm_twisted.daemon.program import ProgramOptions, Terminal, one_sentence
from rkllm_twisted.fleet_service.assembly import board_service
from rkllm_twisted.fleet_service.board_options import BoardOptions
from rkllm_twisted.runtime.malloc import return_freed_blocks
from rkllm_twisted.systemd.sd_daemon import take_environment
from rkllm_twisted.systemd.service import with_reports

__all__ = ["Options", "makeService"]


class Options(ProgramOptions, BoardOptions):
    """The options of ``twistd rkllm-board``."""

    program = "twistd rkllm-board"


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    return_freed_blocks()
    terminal = Terminal(options.program)
    with one_sentence(options.program):
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

        use_monotonic_time(reactor)
        inherited = take_environment(os.environ)
        service = board_service(options, reactor)
        with_reports(reactor, service, inherited).setServiceParent(terminal)
    return terminal
