"""``twistd rkllm-board``: the service of :mod:`.assembly` under twistd."""

from __future__ import annotations

from twisted.application.service import IService

from rkllm_twisted.daemon.program import ProgramOptions
from rkllm_twisted.fleet_service.assembly import board_service
from rkllm_twisted.fleet_service.board_options import BoardOptions
from rkllm_twisted.fleet_service.under_twistd import under_twistd

__all__ = ["Options", "makeService"]


class Options(ProgramOptions, BoardOptions):
    """The options of ``twistd rkllm-board``."""

    program = "twistd rkllm-board"


def makeService(options: Options) -> IService:
    """Make the service that twistd runs; an application that embeds it uses :mod:`.assembly`."""
    return under_twistd(options.program, lambda reactor, _: board_service(options, reactor))
