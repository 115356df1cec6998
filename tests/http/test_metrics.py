"""What the HTTP service counts, and ``/metrics``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from http_rig import MODEL, HTTPRig
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred

from rkllm_twisted.board.sensors import Readings
from rkllm_twisted.http.fleet_totals import FleetTotals
from rkllm_twisted.http.metrics import Metrics
from rkllm_twisted.http.routes.metrics import MetricsRoute
from rkllm_twisted.http.served_models import ServedModel
from rkllm_twisted.http.target import ModelAnswer
from rkllm_twisted.testing import Answer, Crash

DASHBOARD = Path(__file__).parents[2] / "etc" / "grafana-dashboard.json"
CHAT = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "Hello"}]}
#: What a front says of its fleet.
FLEET: dict[str, Any] = {
    "boards": [],
    "models": {},
    "free": 0,
    "waiting": 0,
    "retries": {},
    "lost_runs": 0,
    "runs_by_board": {},
    "line_s": {"p50": None, "p99": None},
}
NO_READINGS = Readings(None, None, None, None, None, None)

Sample = Callable[..., float | None]


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig(answers={"Hello": "Hi there"})
    yield rig
    rig.close()


def sample(rig: HTTPRig, name: str, headers: dict[str, str] | None = None, **labels: str) -> Any:
    """The value of a sample in the text of /metrics; None if it is not there."""
    text = rig.ask("GET", "/metrics", headers=headers).body.decode()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return one.value
    return None


def test_a_request_is_counted_by_path_and_status(rig: HTTPRig) -> None:
    rig.post(CHAT, ASKED)
    rig.post("/chat/completions", ASKED)
    rig.post(CHAT, {"messages": 5})
    counted = {"api": "openai", "path": CHAT}
    assert sample(rig, "rkllm_http_requests_total", status="200", **counted) == 2
    assert sample(rig, "rkllm_http_requests_total", status="400", **counted) == 1


def test_an_unknown_path_makes_no_time_series_of_its_own(rig: HTTPRig) -> None:
    rig.ask("GET", "/one")
    rig.ask("GET", "/two")
    assert sample(rig, "rkllm_http_requests_total", path="", status="404") == 2


def test_a_request_that_is_refused_before_its_body_is_counted() -> None:
    rig = HTTPRig("--max-body", "10")
    assert rig.post(CHAT, ASKED).status == 413
    assert rig.post("/api/chat", ASKED).status == 413
    for api in ("openai", "ollama"):
        assert sample(rig, "rkllm_http_requests_total", api=api, path="", status="413") == 1
    rig.close()


def test_a_client_that_leaves_is_counted_as_one_that_left() -> None:
    rig = HTTPRig(answers={"Hello": Answer("word", endless=True)})
    visitor = rig.start("POST", CHAT, {**ASKED, "stream": True})
    rig.advance(0.001)
    visitor.transport.abortConnection()
    rig.advance(0.05)
    assert sample(rig, "rkllm_http_requests_total", path=CHAT, status="499") == 1
    rig.close()


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_counted_by_model(rig: HTTPRig, stream: bool) -> None:
    rig.post(CHAT, {**ASKED, "stream": stream})
    assert sample(rig, "rkllm_generated_tokens_total", model="mine", client="") > 0
    assert sample(rig, "rkllm_prompt_tokens_total", model="mine") > 0
    assert sample(rig, "rkllm_model_requests_total", model="mine") == 1
    assert sample(rig, "rkllm_time_to_first_token_seconds_count", model="mine") == 1


def test_tokens_are_counted_by_the_name_of_the_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("anna: s3cret-of-anna\n")
    rig = HTTPRig("--api-key-file", str(keys), answers={"Hello": "Hi"})
    key = {"Authorization": "Bearer s3cret-of-anna"}
    rig.post(CHAT, ASKED, key)
    assert sample(rig, "rkllm_model_requests_total", key, client="anna") == 1
    assert rig.ask("GET", "/metrics").status == 401
    rig.close()


def test_the_state_of_each_daemon_is_shown() -> None:
    rig = HTTPRig(daemons=[{}, {"is_there": False}])
    assert sample(rig, "rkllm_daemon_up", daemon="0") == 1
    assert sample(rig, "rkllm_daemon_up", daemon="1") == 0
    assert sample(rig, "rkllm_model_loaded", daemon="0", model="mine") == 1
    assert sample(rig, "rkllm_queue_length", daemon="0") == 0
    assert sample(rig, "rkllm_http_in_progress") == 1  # the request for /metrics
    rig.close()


def test_a_model_that_is_no_longer_loaded_is_not_shown() -> None:
    metrics = Metrics(key_names=False)
    one, two = (ServedModel(name, 0, name, loaded=True) for name in ("one", "two"))
    metrics.set_state([], [one], NO_READINGS, {}, 0)
    metrics.set_state([], [two], NO_READINGS, {}, 0)
    text = metrics.exposition("")[0].decode()
    assert 'model="two"' in text
    assert 'model="one"' not in text


def test_the_sensors_of_the_board_are_shown() -> None:
    metrics = Metrics(key_names=False)
    metrics.set_state([], [], Readings((50, 0), None, None, 2**30, None, None), {"npu": 61.5}, 0)
    value = metrics.registry.get_sample_value
    assert value("rkllm_npu_load_ratio", {"core": "0"}) == 0.5
    assert value("rkllm_soc_temperature_celsius", {"zone": "npu"}) == 61.5
    assert value("rkllm_memory_available_bytes") == 2**30


@pytest.mark.parametrize(
    ("first_s", "load_s", "waited_s", "until_first_s"),
    [(None, 0.0, 0.5, 0.6), (0.65, 0.0, 0.5, 0.65), (0.65, 0.3, 0.2, 0.65), (None, 9.0, 0, 0.6)],
)
def test_the_time_in_the_queue_is_what_loading_and_the_run_do_not_explain(
    first_s: float | None, load_s: float, waited_s: float, until_first_s: float
) -> None:
    metrics = Metrics(key_names=False)
    usage = {
        "prompt_tokens": 9,
        "cached_tokens": 4,
        "completion_tokens": 20,
        "prefill_ms": 100.0,
        "generate_ms": 400.0,
    }
    metrics.on_run(ModelAnswer("anna", "mine", usage, 1.0, first_s, load_s))
    value = metrics.registry.get_sample_value
    labels = {"model": "mine"}
    assert value("rkllm_queue_seconds_sum", labels) == pytest.approx(waited_s)
    assert value("rkllm_time_to_first_token_seconds_sum", labels) == pytest.approx(until_first_s)
    assert value("rkllm_time_per_output_token_seconds_sum", labels) == pytest.approx(0.02)


@pytest.mark.parametrize(("loaded", "load_s"), [(True, 0.0), (False, 3.0)])
def test_a_request_whose_model_was_not_loaded_knows_how_long_that_took(
    rig: HTTPRig, loaded: bool, load_s: float
) -> None:
    records: list[ModelAnswer] = []

    async def ask() -> None:
        target = await rig.service.daemons.find(None, "anna")
        target = attrs.evolve(target, model=attrs.evolve(target.model, loaded=loaded))
        target.link.load_s = -3.0  # it is 0 afterwards: the model was there from the start
        await target.call("chat.complete", ASKED)

    rig.service.daemons.on_run.append(records.append)
    done = Deferred.fromCoroutine(ask())
    for _ in range(5):
        rig.advance(0.01)
    assert done.called
    assert [one.load_s for one in records] == [load_s]


def test_the_daemons_own_totals_are_counters() -> None:
    rig = HTTPRig(answers={"crash": Crash(), "Hello": "Hi"})
    rig.post(CHAT, {"messages": [{"role": "user", "content": "crash"}]})
    assert sample(rig, "rkllm_runtime_crashes_total", daemon="0") == 1
    assert sample(rig, "rkllm_model_load_seconds_count", daemon="0") == 0  # there from the start
    param = {"model_path": str(MODEL)}
    rig.service.daemons.links[0].call("rkllm.init", {"param": param})
    rig.advance(0.01)
    assert sample(rig, "rkllm_model_load_seconds_count", daemon="0") == 1
    assert sample(rig, "rkllm_model_load_seconds_sum", daemon="0") >= 0
    rig.close()


def test_an_embedding_has_no_first_token() -> None:
    metrics = Metrics(key_names=False)
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    metrics.on_run(ModelAnswer("anna", "mine", usage, 1.0, None))
    value = metrics.registry.get_sample_value
    assert value("rkllm_prompt_tokens_total", {"model": "mine", "client": ""}) == 9
    assert value("rkllm_time_to_first_token_seconds_count", {"model": "mine"}) is None


def test_without_the_package_the_answer_names_it() -> None:
    rig = HTTPRig(routes=[])
    found = [one for one in rig.service.resource.routes.all if isinstance(one, MetricsRoute)]
    assert found[0].metrics is not None  # installed here
    object.__setattr__(found[0], "metrics", None)
    answer = rig.ask("GET", "/metrics")
    assert answer.status == 501
    assert "rkllm-twisted[http]" in answer.json["error"]["message"]
    rig.close()


def test_the_dashboard_shows_what_there_is() -> None:
    """Each name of a metric in etc/grafana-dashboard.json is one that /metrics has."""
    metrics, fleets = Metrics(key_names=False), FleetTotals()
    fleets.rows = [{"number": 0, "fleet": FLEET}]
    collected = [*metrics.registry.collect(), *fleets.collect()]
    families = {family.name for family in collected}
    suffixes = ("", "_total", "_bucket", "_sum", "_count")
    known = {name + suffix for name in families for suffix in suffixes}
    used: set[str] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            used |= set(re.findall(r"\brkllm_\w+", target["expr"]))
    assert used
    assert used <= known
