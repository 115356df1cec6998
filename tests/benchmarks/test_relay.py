"""The relay in C, the limit that the daemon is compared with."""

from __future__ import annotations

import contextlib
from pathlib import Path

import attrs

from benchmarks.clients import Client
from benchmarks.suite.bench import PROCESS, RELAY
from benchmarks.suite.contenders import relay, running
from benchmarks.suite.programs import build
from benchmarks.suite.ratios import Row
from benchmarks.suite.report import of_isolations


def test_clients_that_leave_before_their_answer_do_not_end_it(tmp_path: Path) -> None:
    """A load is over while some of its requests are under way."""
    build(tmp_path)
    path = tmp_path / "relay.sock"
    with running(relay, tmp_path, path):
        for _ in range(200):
            with contextlib.closing(Client(path)) as leaving:
                leaving.send("server.ping")
        with contextlib.closing(Client(path)) as client:
            assert client.ask("server.ping") is True


def test_a_yardstick_of_nothing_has_no_share() -> None:
    """What a load takes beyond the library's time may be nothing."""
    row = Row("x", "ms", {PROCESS: [1.0, 3.0], RELAY: [0.0, 2.0]}, more_is_better=False)
    assert "share 150 %" in of_isolations([row])
    assert "share –" in of_isolations([attrs.evolve(row, values={PROCESS: [1.0], RELAY: [0.0]})])
