"""``GET /metrics``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from zope.interface import implementer

from rkllm_twisted.board import sensors
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.errors import HTTPError, RPCError, Unreachable
from rkllm_twisted.http.daemons import LISTING_S
from rkllm_twisted.http_interfaces import IExchange, IHTTPRoute

if TYPE_CHECKING:
    from rkllm_twisted.http.metrics import Metrics


@implementer(IHTTPRoute)
@attrs.frozen
class MetricsRoute:
    """Shows the numbers of the service. No plugin: each service has numbers of its own.

    :param metrics: the numbers; None if prometheus_client is not installed.
    :param in_progress: returns how many requests are being answered.
    :param files: the machine's files.
    """

    metrics: Metrics | None
    in_progress: Callable[[], int]
    files: RootedFiles = attrs.field(factory=RootedFiles)

    methods = ("GET",)
    paths = ("/metrics",)
    summary = "Numbers for Prometheus."
    api = "openai"
    is_open = False
    request = None
    response = None

    async def respond(self, exchange: IExchange) -> None:
        """Ask all daemons, and read the sensors."""
        if self.metrics is None:
            raise HTTPError(
                501,
                "To count for /metrics, the package prometheus-client is needed:"
                " pip install 'rkllm-twisted[http]' installs it.",
                code="not_installed",
                should_retry=False,
            )
        rows = await exchange.daemons.rows(exchange.client)
        try:
            models = await exchange.daemons.models(LISTING_S)
        except (RPCError, Unreachable):
            models = []  # the rows say so
        machine, zones = sensors.read(self.files), sensors.temperatures(self.files)
        self.metrics.set_state(rows, models, machine, zones, self.in_progress())
        data, content_type = self.metrics.exposition(exchange.header("accept") or "")
        exchange.send(data, content_type)
