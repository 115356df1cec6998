"""What ``twistd rkllm-board`` and ``twistd rkllm-fleet`` have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.application.service import IService

from rkllm_twisted.daemon.monotonic import use_monotonic_time
from rkllm_twisted.daemon.program import Terminal, one_sentence
from rkllm_twisted.runtime.malloc import return_freed_blocks
from rkllm_twisted.systemd.sd_daemon import SystemdEnvironment, take_environment
from rkllm_twisted.systemd.service import with_reports


def under_twistd(program: str, make: Callable[[Any, SystemdEnvironment], Any]) -> IService:
    """Make the service that twistd runs.

    A service that cannot start prints one sentence and exits with status 1.

    :param program: its name, for messages.
    :param make: makes the service, of the reactor and what systemd has passed.
    """
    return_freed_blocks()
    terminal = Terminal(program)
    with one_sentence(program):
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one

        use_monotonic_time(reactor)
        inherited = take_environment(os.environ)
        with_reports(reactor, make(reactor, inherited), inherited).setServiceParent(terminal)
    return terminal
