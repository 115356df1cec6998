"""The view of ``rkllm status``: the daemon's status, and readings of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from rkllm_twisted.board.sensors import Readings

MIB = 2**20


@attrs.frozen
class StatusView:
    """The status at one time.

    :param status: the result of ``server.status``.
    :param at: seconds of a monotonic clock.
    """

    status: Mapping[str, Any]
    readings: Readings
    at: float
    tokens_per_second: float | None = None

    def after(self, earlier: StatusView | None) -> StatusView:
        """Return the same status with the tokens per second since an earlier one."""
        if earlier is None or self.at <= earlier.at:
            return self
        tokens = self.status.get("tokens", 0) - earlier.status.get("tokens", 0)
        return attrs.evolve(self, tokens_per_second=max(tokens, 0) / (self.at - earlier.at))

    def to_json(self) -> Mapping[str, Any]:
        """Return the daemon's status and the readings, for ``--json``."""
        return {
            **self.status,
            "tokens_per_second": self.tokens_per_second,
            "machine": attrs.asdict(self.readings),
        }

    def rows(self) -> Mapping[str, str]:
        """Return name -> text for everything that is known."""
        status, now = self.status, self.readings
        rows = {
            "state": _state(status),
            "model": _model(status),
            "runtime": status.get("backend"),
            "running": _running(status),
            "queue": _queue(status),
            "clients": status.get("clients"),
            "runs": status.get("runs"),
            "tokens": status.get("tokens"),
            "tokens/s": _optional(self.tokens_per_second, "{:.1f}"),
            "NPU load": " ".join(f"{load} %" for load in now.npu_load or ()) or None,
            "NPU clock": None if now.npu_hz is None else f"{now.npu_hz / 1e6:.0f} MHz",
            "temperature": _optional(now.celsius, "{:.1f} °C"),
            "memory": _memory(now),
            "uptime": _duration(status.get("uptime_s")),
            "process": status.get("pid"),
        }
        return {name: str(text) for name, text in rows.items() if text is not None}


def _model(status: Mapping[str, Any]) -> str:
    path, name = status.get("model_path") or "none", status.get("model")
    return f"{name} ({path})" if name else path


def _state(status: Mapping[str, Any]) -> str:
    problem = status.get("problem")
    return f"{status.get('state', 'unknown')}{f' ({problem})' if problem else ''}"


def _running(status: Mapping[str, Any]) -> str:
    running = status.get("running")
    if not running:
        return "nothing"
    client = running.get("client")
    return f"{running['function']}{'' if client is None else f', for client {client}'}"


def _queue(status: Mapping[str, Any]) -> str:
    waiting = ", ".join(
        f"{item['calls']} of client {item['client']}" for item in status.get("waiting") or ()
    )
    return f"{status.get('queue_length', 0)}{f' ({waiting})' if waiting else ''}"


def _memory(now: Readings) -> str | None:
    held = _optional(now.resident, "{:.0f} MiB held by the daemon", MIB)
    free = _optional(now.memory_available, "{:.0f} MiB available", MIB)
    total = _optional(now.memory_total, "of {:.0f} MiB", MIB)
    rest = " ".join(filter(None, (free, total)))
    return ", ".join(filter(None, (held, rest))) or None


def _optional(value: float | None, form: str, unit: float = 1) -> str | None:
    return None if value is None else form.format(value / unit)


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
