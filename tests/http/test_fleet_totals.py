"""The numbers of a front in ``/metrics``."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rkllm_twisted.http.daemon_row import daemon_row
from rkllm_twisted.http.fleet_totals import MAX_MODELS, FleetTotals

FLEET: dict[str, Any] = {
    "boards": [{"board": "b1", "state": "loaded"}, {"board": "b2", "state": "away"}],
    "models": {"qwen": 1, "tiny": 0},
    "free": 1,
    "waiting": 3,
    "retries": {"busy": 2, "board_gone": 0},
    "lost_runs": 1,
    "runs_by_board": {"b1": 7},
    "line_s": {"p50": 0.5, "p99": None},
}
STATUS = {"state": "loaded", "running": None, "waiting": [], "client": 1}


def samples(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    """Return the value of each sample, by its name and labels."""
    registry = CollectorRegistry()
    totals = FleetTotals()
    totals.rows = rows
    registry.register(totals)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


def test_a_front_is_counted() -> None:
    """Its boards by state, its models, what waits, retries by cause, lost runs, runs by board."""
    row = daemon_row(0, {**STATUS, "fleet": FLEET})
    assert samples([dict(row)]) == {
        ("rkllm_fleet_boards", "0", "away"): 1,
        ("rkllm_fleet_boards", "0", "loaded"): 1,
        ("rkllm_fleet_model_boards", "0", "qwen"): 1,
        ("rkllm_fleet_model_boards", "0", "tiny"): 0,
        ("rkllm_fleet_free", "0"): 1,
        ("rkllm_fleet_waiting", "0"): 3,
        ("rkllm_fleet_line_seconds", "0", "0.5"): 0.5,
        ("rkllm_fleet_retries_total", "busy", "0"): 2,
        ("rkllm_fleet_retries_total", "board_gone", "0"): 0,
        ("rkllm_fleet_lost_runs_total", "0"): 1,
        ("rkllm_fleet_runs_total", "b1", "0"): 7,
    }


def test_many_models_are_summed_up() -> None:
    """A fleet cannot make more time series than a dashboard can show."""
    models = {f"m{number:03}": 2 for number in range(MAX_MODELS + 7)} | {"common": 9}
    shown = samples([dict(daemon_row(0, {**STATUS, "fleet": {**FLEET, "models": models}}))])
    rows = {key[2]: value for key, value in shown.items() if key[0] == "rkllm_fleet_model_boards"}
    assert len(rows) == MAX_MODELS + 1
    assert rows["common"] == 9
    assert rows[""] == 8 * 2


def test_a_daemon_has_no_fleet() -> None:
    """Nothing is shown of what is not there."""
    assert samples([dict(daemon_row(0, STATUS))]) == {}
