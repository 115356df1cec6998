"""``twistd rkllm``: the service of :mod:`rkllm_twisted.tap` under twistd.

A daemon that cannot start prints one sentence and exits with status 1; an application that embeds
the service gets the exception.
"""

from __future__ import annotations

import os
import sys

from twisted.application.service import IService

from rkllm_twisted.daemon import assembly
from rkllm_twisted.daemon.check import check
from rkllm_twisted.daemon.collector import FullCollections
from rkllm_twisted.daemon.monotonic import use_monotonic_time
from rkllm_twisted.daemon.program import ProgramOptions, Terminal, one_sentence
from rkllm_twisted.daemon.waker import wake_directly
from rkllm_twisted.runtime.malloc import return_freed_blocks
from rkllm_twisted.systemd.sd_daemon import activated_socket, take_environment
from rkllm_twisted.systemd.service import with_reports

__all__ = ["Options", "makeService"]

PROGRAM = "twistd rkllm"


class Options(ProgramOptions, assembly.Options):
    """The options of ``twistd rkllm``."""

    program = PROGRAM


def makeService(options: assembly.Options) -> IService:
    """Make the service that twistd runs."""
    return_freed_blocks()
    terminal = Terminal(PROGRAM)
    with one_sentence(PROGRAM):
        if options["check"]:
            print(check(options))
            sys.exit()
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

        use_monotonic_time(reactor)
        reactor.callWhenRunning(wake_directly, reactor)
        inherited = take_environment(os.environ)
        daemon = assembly.makeService(options, source=activated_socket(inherited.sockets))
        with_reports(reactor, daemon, inherited).setServiceParent(terminal)
        FullCollections(daemon.npu, reactor).setServiceParent(terminal)
    return terminal
