"""The ordinary tests' searches, ten times as long."""

from __future__ import annotations

import pytest
from server.test_state_machine import search


def test_the_server_keeps_its_promises_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """See ``tests/server/test_state_machine.py``."""
    search(monkeypatch, 1500, 60)
