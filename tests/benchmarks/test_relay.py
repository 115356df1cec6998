"""The relay in C, the limit that the daemon is compared with."""

from __future__ import annotations

import contextlib
from pathlib import Path

from benchmarks.clients import Client
from benchmarks.suite.contenders import relay, running
from benchmarks.suite.programs import build


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
