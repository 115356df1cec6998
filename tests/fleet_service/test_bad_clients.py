"""Clients that flood a front or do not read cost no more than with a daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fleet_rig import FleetRig
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from rkllm_twisted.fleet_service.boards import MAX_ASKED
from rkllm_twisted.rpc.limits import DEFAULTS
from rkllm_twisted.testing import Answer
from rkllm_twisted.testing.memory_transport import BUFFER_BYTES, MemoryEndpoint

QUEUE = 64
TOKEN = "x" * 2000
ENDLESS = Answer(TOKEN, endless=True, delay=0.01)
UNREAD = 64 * 1024


class Raw(Protocol):
    """A connection that speaks lines of JSON and keeps what comes."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.is_open = True

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.is_open = False

    def ask(self, method: str, prompt: str, times: int = 1) -> None:
        is_run = method.startswith("rkllm.")
        params = [{"prompt_input": prompt}] if is_run else {"text": prompt}
        request = {"jsonrpc": "2.0", "method": method, "params": params}
        lines = [json.dumps({**request, "id": number}) + "\n" for number in range(times)]
        self.transport.write("".join(lines).encode())  # type: ignore[union-attr]

    def errors(self) -> list[int]:
        """The codes of the errors that came."""
        lines = [json.loads(line) for line in self.received.splitlines()]
        return [line["error"]["code"] for line in lines if "error" in line]


def connection(rig: FleetRig) -> Raw:
    """Connect to the front."""
    endpoint = MemoryEndpoint(rig.clock, rig.front.factory)
    raw: Raw = rig.result(endpoint.connect(Factory.forProtocol(Raw)))
    return raw


def test_a_hundred_connections_that_flood_have_their_shares_only() -> None:
    """Eight requests of each, the line in all; the rest is refused at once, and nothing is kept."""
    rig = FleetRig(["b1"])
    modest = rig.client()
    first, second = modest.run("Hello"), modest.run("Hello")
    flood = [connection(rig) for _ in range(99)]
    for raw in flood:
        raw.ask("rkllm.run", "Flood", 20)
    rig.settle(60)
    assert len(rig.front.line) == QUEUE
    refused = [code for raw in flood for code in raw.errors()]
    assert refused == [-32002] * (20 * len(flood) - QUEUE + 1)
    assert rig.result(first, 1.0).text
    assert rig.result(second, 1.0).text


def test_a_flood_that_needs_no_npu_waits_in_the_line_as_well() -> None:
    """A board has four at once, of twelve megabytes each at most; its bridge has little memory."""
    rig = FleetRig(["b1", "b2"], default=ENDLESS)
    held: list[Deferred[Any]] = []

    def hold(*_: Any) -> Deferred[Any]:
        held.append(Deferred())
        return held[-1]

    for board in rig.boards.values():
        board.service.bridge.runs.run = hold  # type: ignore[method-assign]
    flood = [connection(rig) for _ in range(20)]
    for raw in flood:
        raw.ask("tokens.count", "Flood", DEFAULTS.max_requests)
    rig.settle(60)
    assert len(held) == 2 * MAX_ASKED
    assert len(rig.front.line) == QUEUE
    held[0].callback({"count": 1})
    rig.settle()
    assert len(held) == 2 * MAX_ASKED + 1


def test_a_flood_delays_another_client_by_one_turn_of_each_connection() -> None:
    """Not by all that waits."""
    rig = FleetRig(["b1"])
    for raw in [connection(rig) for _ in range(4)]:
        raw.ask("rkllm.run", "Flood", DEFAULTS.max_requests)
    rig.settle()
    run = rig.client().run("Hello")
    rig.settle()
    before = len(rig.front.line)
    assert rig.result(run, 6 * 0.7).text
    assert before - len(rig.front.line) <= 7


@pytest.mark.parametrize("options", [["--max-unread", "64K"], ["--unread-timeout", "1"]])
def test_a_client_that_does_not_read_is_dropped_and_its_board_is_free(options: list[str]) -> None:
    """At its limit of bytes or of time; another client's stream goes on meanwhile."""
    rig = FleetRig(["b1", "b2"], options, default=ENDLESS)
    deaf, good = connection(rig), connection(rig)
    deaf.ask("rkllm.run_async", "Long")
    rig.settle()
    deaf.transport.pauseProducing()  # type: ignore[union-attr]
    good.ask("rkllm.run_async", "Long")
    rig.settle()
    most = before = 0
    for _ in range(60):
        before = len(good.received)
        rig.advance(0.1)
        assert len(good.received) > before, "the other stream goes on"
        most = max(most, deaf.transport._size)  # type: ignore[union-attr]
        if len(rig.front.factory.connections) == 1:
            break
    assert len(rig.front.factory.connections) == 1
    assert good.is_open
    assert most < BUFFER_BYTES + UNREAD
    rig.advance(0.2)
    busy = {name: board.service.bridge.runs.under_way for name, board in rig.boards.items()}
    assert sorted(busy.values()) == [0, 1]
    assert len(rig.front.line.under_way) == 1
