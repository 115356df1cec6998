"""``GET /status``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.board import sensors
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute


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
        rows = await exchange.daemons.rows(exchange.client)
        machine = attrs.asdict(sensors.read(self.files))
        del machine["resident"]  # of one process
        exchange.set_header("Cache-Control", "no-store")
        exchange.send_json({"daemons": rows, "machine": machine})


status = ServiceStatus()
