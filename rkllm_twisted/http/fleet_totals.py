"""The numbers of fronts behind the HTTP service, in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

#: So many models have a row of their own, those on most boards; what the others have is summed up.
MAX_MODELS = 50


class FleetTotals(Collector):
    """What fronts say of their fleets.

    :ivar rows: of :mod:`rkllm_twisted.http.daemon_row`; those of daemons have no ``fleet``.
    """

    def __init__(self) -> None:
        self.rows: Sequence[Mapping[str, Any]] = ()

    def collect(self) -> Iterable[Metric]:
        """Return the numbers; none without a front."""
        fleets = [(str(row["number"]), row["fleet"]) for row in self.rows if row.get("fleet")]
        return [*_gauges(fleets), *_counters(fleets)] if fleets else []


def _gauges(fleets: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterable[Metric]:
    boards = GaugeMetricFamily(
        "rkllm_fleet_boards", "Boards of the fleet.", labels=["daemon", "state"]
    )
    models = GaugeMetricFamily(
        "rkllm_fleet_model_boards",
        "Boards that have a model loaded; those on fewest in one row without a name.",
        labels=["daemon", "model"],
    )
    free = GaugeMetricFamily("rkllm_fleet_free", "Boards that are free.", labels=["daemon"])
    waiting = GaugeMetricFamily(
        "rkllm_fleet_waiting", "Requests that wait for a board.", labels=["daemon"]
    )
    line = GaugeMetricFamily(
        "rkllm_fleet_line_seconds",
        "The time in line of the last 1,000 requests.",
        labels=["daemon", "quantile"],
    )
    for daemon, fleet in fleets:
        states = [str(board["state"]) for board in fleet["boards"]]
        for state in sorted(set(states)):
            boards.add_metric([daemon, state], states.count(state))
        for model, count in _bounded(fleet["models"]):
            models.add_metric([daemon, model], count)
        free.add_metric([daemon], fleet["free"])
        waiting.add_metric([daemon], fleet["waiting"])
        for quantile, name in (("0.5", "p50"), ("0.99", "p99")):
            if fleet["line_s"][name] is not None:
                line.add_metric([daemon, quantile], fleet["line_s"][name])
    return boards, models, free, waiting, line


def _bounded(models: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    """Yield at most :data:`MAX_MODELS` models with their boards, and the sum of the others."""
    most_first = sorted(models.items(), key=lambda item: (-item[1], item[0]))
    yield from most_first[:MAX_MODELS]
    if len(most_first) > MAX_MODELS:
        yield "", sum(count for _, count in most_first[MAX_MODELS:])


def _counters(fleets: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterable[Metric]:
    retries = CounterMetricFamily(
        "rkllm_fleet_retries", "Requests that were tried again.", labels=["daemon", "cause"]
    )
    lost = CounterMetricFamily(
        "rkllm_fleet_lost_runs", "Runs lost with a board or its runtime.", labels=["daemon"]
    )
    runs = CounterMetricFamily(
        "rkllm_fleet_runs", "Requests that a board has answered.", labels=["daemon", "board"]
    )
    for daemon, fleet in fleets:
        for cause, count in fleet["retries"].items():
            retries.add_metric([daemon, cause], count)
        lost.add_metric([daemon], fleet["lost_runs"])
        for board, count in fleet["runs_by_board"].items():
            runs.add_metric([daemon, board], count)
    return retries, lost, runs
