"""``GET /status``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.board import sensors
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.errors import RPCError, Unreachable
from rkllm_twisted.http.daemon_row import away_row, daemon_row
from rkllm_twisted.http.daemons import DaemonLink
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


async def _row(link: DaemonLink, client: str) -> Mapping[str, Any]:
    try:
        return daemon_row(link.number, await link.status(client))
    except (RPCError, Unreachable) as error:
        return away_row(link.number, str(error))


@implementer(IPlugin, IHTTPRoute)
@attrs.frozen
class ServiceStatus:
    """Says what the daemons do, where the client's request stands, and how the board is.

    :param files: the machine's files.
    """

    files: RootedFiles = attrs.field(factory=RootedFiles)

    methods = ("GET",)
    paths = ("/status",)
    summary = "State, model and queue of each daemon; load, temperature and memory of the board."
    api = "openai"
    is_open = False
    request = None
    response: ClassVar[Mapping[str, str]] = {"type": "object"}

    async def respond(self, exchange: IExchange) -> None:
        """Ask all daemons, and read the sensors."""
        links = exchange.daemons.links
        rows = await gatherResults(
            [Deferred.fromCoroutine(_row(link, exchange.client)) for link in links]
        )
        machine = attrs.asdict(sensors.read(self.files))
        del machine["resident"]  # of one process
        exchange.set_header("Cache-Control", "no-store")
        exchange.send_json({"daemons": rows, "machine": machine})


status = ServiceStatus()
