"""``twistd rkllm-fleet``: the service of :mod:`.assembly` under twistd."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

from rkllm_twisted.daemon.program import ProgramOptions
from rkllm_twisted.fleet_service.assembly import front_service
from rkllm_twisted.fleet_service.front_options import FrontOptions
from rkllm_twisted.fleet_service.under_twistd import under_twistd
from rkllm_twisted.systemd.sd_daemon import SystemdEnvironment, activated_socket

__all__ = ["Options", "makeService"]


class Options(ProgramOptions, FrontOptions):
    """The options of ``twistd rkllm-fleet``."""

    program = "twistd rkllm-fleet"


def makeService(options: Options) -> IService:
    """Make the service that twistd runs; an application that embeds it uses :mod:`.assembly`."""

    def make(reactor: Any, inherited: SystemdEnvironment) -> Any:
        return front_service(options, reactor, source=activated_socket(inherited.sockets))

    return under_twistd(options.program, make)
