"""``twistd rkllm-http`` on a front, unchanged."""

from __future__ import annotations

import pytest
from fleet_rig import FleetRig, model_file
from http_rig import HTTPRig

from rkllm_twisted.http.registry import find_routes
from rkllm_twisted.http_service.assembly import Options, service_for
from rkllm_twisted.testing import Answer
from rkllm_twisted.testing.memory_transport import MemoryEndpoint

CHAT = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "Hello"}]}


class FleetHTTP(HTTPRig):
    """The HTTP service in front of a fleet."""

    def __init__(self, fleet: FleetRig) -> None:
        self.clock = fleet.clock
        self.daemons = []
        parsed = Options()
        parsed.parseOptions(["--listen", "unix:/nowhere"])
        endpoint = MemoryEndpoint(self.clock, fleet.front.factory)
        self.service = service_for(parsed, [endpoint], find_routes(), self.clock)
        self.site = self.service.site


@pytest.fixture
def fleet() -> FleetRig:
    """Two boards with one model, and one with another."""
    rig = FleetRig(["b1", "b2"], default=Answer("Hello there"))
    rig.add("b3", model=model_file("other"), default=Answer("Another"))
    rig.advance(0.6)
    return rig


@pytest.fixture
def http(fleet: FleetRig) -> FleetHTTP:
    """The service."""
    return FleetHTTP(fleet)


def test_a_chat_goes_to_a_board_that_has_the_model(http: FleetHTTP) -> None:
    """Each model is one of the list."""
    models = http.ask("GET", "/v1/models").json["data"]
    assert sorted(one["id"] for one in models) == ["other", "tiny"]
    for model, text in (("tiny", "Hello there"), ("other", "Another")):
        answer = http.post(CHAT, {**ASKED, "model": model})
        assert answer.json["choices"][0]["message"]["content"] == text


def test_a_chat_is_streamed(http: FleetHTTP) -> None:
    """Piece by piece, as a daemon's."""
    answer = http.post(CHAT, {**ASKED, "model": "tiny", "stream": True})
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in answer.chunks]
    assert "".join(pieces) == "Hello there"


def test_other_apis_work_as_well(http: FleetHTTP) -> None:
    """Ollama's."""
    answer = http.post("/api/chat", {**ASKED, "model": "other:latest", "stream": False})
    assert answer.json["message"]["content"] == "Another"


def test_the_fleets_numbers_are_in_the_metrics(http: FleetHTTP) -> None:
    """Boards, models, free, waiting, retries, lost runs."""
    http.post(CHAT, {**ASKED, "model": "other"})
    text = http.ask("GET", "/metrics").body.decode()
    assert 'rkllm_fleet_model_boards{daemon="0",model="tiny"} 2.0' in text
    assert 'rkllm_fleet_model_boards{daemon="0",model="other"} 1.0' in text
    assert 'rkllm_fleet_free{daemon="0"} 3.0' in text
    assert 'rkllm_fleet_runs_total{board="b3",daemon="0"} 1.0' in text
