"""Counts what the HTTP service does, in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from rkllm_twisted.board.sensors import Readings
from rkllm_twisted.http.fleet_totals import FleetTotals
from rkllm_twisted.http.resource import ExchangeRecord
from rkllm_twisted.http.served_models import ServedModel
from rkllm_twisted.http.target import ModelAnswer

#: A client that left before its answer; nginx has made the number usual.
LEFT_STATUS = 499
#: Upper limits of histograms, in seconds.
_WAITING_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5)
#: Members of ``usage`` -> the name of the counter, and what it counts.
_TOKENS = {
    "prompt_tokens": ("prompt_tokens", "Tokens of prompts, those in the cache included."),
    "cached_tokens": ("prompt_cached_tokens", "Tokens of prompts that were in the cache."),
    "completion_tokens": ("generated_tokens", "Tokens of answers."),
}


class DaemonTotals(Collector):
    """What the daemons count themselves, each since its start.

    :ivar rows: of :mod:`rkllm_twisted.http.daemon_row`, one for each daemon.
    """

    def __init__(self) -> None:
        self.rows: Sequence[Mapping[str, Any]] = ()

    def collect(self) -> Iterable[Metric]:
        """Return the totals of the daemons that answer."""
        loads = SummaryMetricFamily(
            "rkllm_model_load_seconds", "The time that loading a model takes.", labels=["daemon"]
        )
        crashes = CounterMetricFamily(
            "rkllm_runtime_crashes", "Crashes of the runtime's process.", labels=["daemon"]
        )
        for row in self.rows:
            if row.get("loads") is not None:
                daemon = [str(row["number"])]
                loads.add_metric(daemon, row["loads"], row.get("load_s") or 0.0)
                crashes.add_metric(daemon, row.get("crashes") or 0)
        return loads, crashes


class Metrics:
    """The numbers of one service.

    :param key_names: True if clients are known by the names of their keys. Without keys a client is
        an address, and each would be a time series of its own.
    :ivar registry: where the numbers are.
    """

    def __init__(self, key_names: bool) -> None:
        self._key_names = key_names
        self._children: dict[tuple[Any, tuple[object, ...]], Any] = {}
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rkllm_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"rkllm_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, limits: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"rkllm_{name}", text, labels, registry=registry, buckets=limits)

        self._requests = counter(
            "http_requests", "Requests that are over.", "api", "path", "status"
        )
        self._in_progress = gauge("http_in_progress", "Requests that are being answered.")
        self._runs = counter(
            "model_requests", "Requests that a model has answered.", "model", "client"
        )
        self._queue_s = histogram(
            "queue_seconds",
            "The time in the queue, before the model is loaded or begins to read.",
            _WAITING_S,
            "model",
        )
        self._first_s = histogram(
            "time_to_first_token_seconds", "From a request to the first piece.", _WAITING_S, "model"
        )
        self._token_s = histogram(
            "time_per_output_token_seconds", "The time per token of an answer.", _TOKEN_S, "model"
        )
        self._tokens = {
            member: counter(name, text, "model", "client")
            for member, (name, text) in _TOKENS.items()
        }
        self._up = gauge("daemon_up", "1 if the daemon answers.", "daemon")
        self._queue = gauge("queue_length", "Requests that wait for the NPU.", "daemon")
        self._loaded = gauge("model_loaded", "1 for the model that is loaded.", "daemon", "model")
        self._crashed = gauge(
            "runtime_crashed",
            "1 if the runtime crashed and no model has been loaded since.",
            "daemon",
        )
        self._totals = DaemonTotals()
        self._fleets = FleetTotals()
        registry.register(self._totals)
        registry.register(self._fleets)
        self._npu_load = gauge("npu_load_ratio", "Load of a core of the NPU, 0 to 1.", "core")
        self._celsius = gauge("soc_temperature_celsius", "Temperature of a thermal zone.", "zone")
        self._memory = gauge("memory_available_bytes", "Memory that is available without swapping.")

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all numbers as text, and its content type.

        :param accept: the header Accept of the request.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def on_exchange(self, record: ExchangeRecord) -> None:
        """Count a request that is over."""
        status = LEFT_STATUS if record.left else record.status
        self._child(self._requests, record.api, record.path, status).inc()

    def on_run(self, record: ModelAnswer) -> None:
        """Count a request that a model has answered."""
        usage, model = record.usage, record.model
        names = (model, record.client if self._key_names else "")
        self._child(self._runs, *names).inc()
        for name, counter in self._tokens.items():
            self._child(counter, *names).inc(usage.get(name, 0))
        if "generate_ms" not in usage:
            return  # no text was written
        reading_s, writing_s = usage["prefill_ms"] / 1000, usage["generate_ms"] / 1000
        waited_s = max(0.0, record.seconds - reading_s - writing_s)
        self._child(self._queue_s, model).observe(max(0.0, waited_s - record.load_s))
        first_s = waited_s + reading_s if record.first_s is None else record.first_s
        self._child(self._first_s, model).observe(first_s)
        if usage["completion_tokens"]:
            self._child(self._token_s, model).observe(writing_s / usage["completion_tokens"])

    def _child(self, parent: Any, *labels: object) -> Any:
        """Return the time series of labels. ``labels()`` takes a lock and makes texts each time."""
        child = self._children.get((parent, labels))
        if child is None:
            child = self._children[parent, labels] = parent.labels(*labels)
        return child

    def set_state(
        self,
        rows: Sequence[Mapping[str, Any]],
        models: Sequence[ServedModel],
        machine: Readings,
        zones: Mapping[str, float],
        in_progress: int,
    ) -> None:
        """Take over what is true now.

        :param rows: of :mod:`rkllm_twisted.http.daemon_row`, one for each daemon.
        :param models: of all daemons.
        :param machine: the board's sensors.
        :param zones: the temperature of each thermal zone, in °C.
        :param in_progress: the number of requests that are being answered.
        """
        self._in_progress.set(in_progress)
        self._totals.rows = self._fleets.rows = rows
        self._loaded.clear()
        for model in models:
            if model.loaded:
                self._loaded.labels(str(model.daemon), model.name).set(1)
        for row in rows:
            daemon = str(row["number"])
            is_up = row["state"] != "away"
            self._up.labels(daemon).set(is_up)
            self._queue.labels(daemon).set(row.get("queue_length") or 0)
            self._crashed.labels(daemon).set(is_up and row.get("problem") is not None)
        for core, percent in enumerate(machine.npu_load or ()):
            self._npu_load.labels(str(core)).set(percent / 100)
        for zone, celsius in zones.items():
            self._celsius.labels(zone).set(celsius)
        memory = machine.memory_available
        self._memory.set(float("nan") if memory is None else memory)
