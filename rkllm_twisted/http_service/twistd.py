"""``twistd rkllm-http``: the service of :mod:`.assembly` under twistd.

A service that cannot start prints one sentence and exits with status 1; an application that embeds
it gets the exception.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.application.service import IService

from rkllm_twisted.daemon.monotonic import use_monotonic_time
from rkllm_twisted.daemon.program import ProgramOptions, Terminal, one_sentence
from rkllm_twisted.http_service import assembly
from rkllm_twisted.http_service.check import check
from rkllm_twisted.http_service.service import HTTPService
from rkllm_twisted.runtime.malloc import return_freed_blocks
from rkllm_twisted.systemd.sd_daemon import take_environment
from rkllm_twisted.systemd.service import with_reports

__all__ = ["Options", "makeService"]


class Options(ProgramOptions, assembly.Options):
    """The options of ``twistd rkllm-http``."""

    program = "twistd rkllm-http"


def makeService(options: Options) -> IService:
    """Make the service that twistd runs."""
    return_freed_blocks()
    terminal = Terminal(options.program)
    with one_sentence(options.program):
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

        if options["check"]:
            print(check(options, reactor))
            sys.exit()
        use_monotonic_time(reactor)
        service = assembly.makeService(options)
        # After the endpoints have found the sockets that systemd passes.
        inherited = take_environment(os.environ)
        with_reports(reactor, service, inherited).setServiceParent(terminal)
        _reload_on_hangup(service, reactor)
    return terminal


def _reload_on_hangup(service: HTTPService, reactor: Any) -> None:
    """Read the API keys again on SIGHUP."""

    def on_signal(*_: object) -> None:
        reactor.callFromThread(service.reload_keys)

    signal.signal(signal.SIGHUP, on_signal)
