"""The view of ``rkllm fleet status``: what a front says of its fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

HEADING = ("BOARD", "MODEL", "STATE", "WAITING", "TOKENS/S", "°C", "SEEN")


@attrs.frozen
class FleetView:
    """The fleet at one time.

    :param fleet: the member ``fleet`` of a front's ``server.status``.
    :param at: seconds of a monotonic clock.
    :param earlier: the view before it, for the tokens per second.
    """

    fleet: Mapping[str, Any]
    at: float
    earlier: FleetView | None = None

    def boards(self) -> Iterator[tuple[str, ...]]:
        """Yield a row for each board, see :data:`HEADING`."""
        for row in self.fleet["boards"]:
            yield (
                row["board"],
                row["model"] or "none",
                _state(row),
                str(row["queue_length"] or 0),
                _text(self._speed(row), "{:.1f}"),
                _text(row["celsius"], "{}"),
                f"{row['seen_s']:.0f} s ago",
            )

    def problems(self) -> Iterator[str]:
        """Yield a line for each board that has something to say."""
        for row in self.fleet["boards"]:
            if row["problem"]:
                yield f"{row['board']}: {row['problem']}"

    def summary(self) -> str:
        """Return everything that is no board's in a line."""
        fleet = self.fleet
        models = ", ".join(f"{name} on {count}" for name, count in fleet["models"].items())
        retries = ", ".join(f"{n} {cause}" for cause, n in fleet["retries"].items() if n)
        line = fleet["line_s"]
        parts = (
            None if fleet["is_reachable"] else "the router cannot be reached",
            f"models: {models or 'none'}",
            f"free: {fleet['free']}",
            f"under way: {fleet['running']}",
            f"waiting: {fleet['waiting']}",
            f"in line: {line['p50']:.1f} s (half), {line['p99']:.1f} s (99 %)"
            if line["p50"] is not None
            else None,
            f"tried again: {retries or 'none'}",
            f"lost runs: {fleet['lost_runs']}",
        )
        return "; ".join(part for part in parts if part is not None)

    def line(self) -> str:
        """Return all of it in a line, for a pipe."""
        boards = ", ".join(f"{row['board']} {_state(row)}" for row in self.fleet["boards"])
        return f"boards: {boards or 'none'}; {self.summary()}"

    def _speed(self, row: Mapping[str, Any]) -> float | None:
        """Return the tokens per second of a board since the earlier view."""
        if self.earlier is None or self.at <= self.earlier.at:
            return None
        before = {one["board"]: one["tokens"] for one in self.earlier.fleet["boards"]}
        tokens = (row["tokens"] or 0) - (before.get(row["board"]) or row["tokens"] or 0)
        return max(tokens, 0) / (self.at - self.earlier.at)


def _state(row: Mapping[str, Any]) -> str:
    if row["state"] in ("loaded", "running"):
        return "busy" if row["is_busy"] else "free"
    return str(row["state"])


def _text(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
