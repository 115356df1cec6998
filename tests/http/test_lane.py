"""Each client of the service has a connection of its own to a daemon, within limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_rig import HTTPRig
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.daemons import MAX_LANES
from rkllm_twisted.http.lane import IDLE_S, MAX_UNDER_WAY, MAX_WAITING, Lane
from rkllm_twisted.testing import Answer, Hang

HANGING = {"messages": [{"role": "user", "content": "hang"}]}


@pytest.fixture
def rig() -> Iterator[HTTPRig]:
    rig = HTTPRig(answers={"hang": Answer([], then=Hang())})
    yield rig
    rig.close()


class Asked:
    """A request under way on a lane."""

    def __init__(self, lane: Lane, method: str = "server.ping", params: Any = None) -> None:
        self.result: Any = None
        self.running = Deferred.fromCoroutine(lane.call(method, params))
        self.running.addBoth(self._over)

    def _over(self, result: Any) -> None:
        self.result = result.value if isinstance(result, Failure) else result


def lane_of(rig: HTTPRig, client: str = "anna") -> Lane:
    return rig.service.daemons.links[0].lane(client)


def connections(rig: HTTPRig) -> int:
    assert rig.daemon._memory is not None
    return len(rig.daemon._memory[1].connections)


def test_each_client_has_a_connection_that_its_requests_share(rig: HTTPRig) -> None:
    for client in ("anna", "bert", "anna"):
        assert Asked(lane_of(rig, client)).result is None
        rig.settle()
    assert connections(rig) == 2


def test_a_connection_is_closed_when_it_has_been_idle_for_long(rig: HTTPRig) -> None:
    asked = Asked(lane_of(rig))
    rig.settle()
    assert asked.result == "pong"
    rig.advance(IDLE_S - 1)
    Asked(lane_of(rig))
    rig.advance(IDLE_S - 1)
    assert connections(rig) == 1
    rig.advance(1)
    assert connections(rig) == 0


def test_more_requests_than_a_connection_may_have_wait_for_their_turn(rig: HTTPRig) -> None:
    lane = lane_of(rig)
    hanging = [Asked(lane, "chat.complete", HANGING) for _ in range(MAX_UNDER_WAY)]
    waiting = Asked(lane)
    rig.settle()
    assert (lane.waiting, waiting.result) == (1, None)
    hanging[0].running.cancel()
    rig.settle()
    assert (lane.waiting, waiting.result) == (0, "pong")


def test_a_waiting_request_that_is_cancelled_never_reaches_the_daemon(rig: HTTPRig) -> None:
    lane = lane_of(rig)
    for _ in range(MAX_UNDER_WAY):
        Asked(lane, "chat.complete", HANGING)
    waiting = Asked(lane, "server.version")
    rig.settle()
    waiting.running.cancel()
    rig.settle()
    assert lane.waiting == 0
    assert "server.version" not in [call.method for call in rig.daemon.calls]


def test_the_requests_that_wait_are_bounded(rig: HTTPRig) -> None:
    lane = lane_of(rig)
    for _ in range(MAX_UNDER_WAY + MAX_WAITING):
        Asked(lane, "chat.complete", HANGING)
    refused = Asked(lane).result
    assert isinstance(refused, HTTPError)
    assert (refused.status, refused.retry_after) == (429, 2)


def test_the_connections_are_bounded_and_more_clients_share_them(rig: HTTPRig) -> None:
    for number in range(MAX_LANES + 5):
        Asked(lane_of(rig, f"client {number}"), "chat.complete", HANGING)
    rig.settle()
    assert connections(rig) == MAX_LANES


def test_a_client_that_asks_much_delays_another_by_one_turn() -> None:
    """The turns of the NPU go round the clients."""
    rig = HTTPRig(default=Answer("word", delay=0.01))
    greedy = [
        Asked(lane_of(rig), "chat.complete", {"messages": [{"role": "user", "content": "x"}]})
        for _ in range(5)
    ]
    rig.settle()
    other = Asked(
        lane_of(rig, "bert"),
        "chat.complete",
        {"messages": [{"role": "user", "content": "y"}]},
    )
    while other.result is None:
        rig.advance(0.01)
    assert sum(asked.result is not None for asked in greedy) <= 2
    rig.close()
