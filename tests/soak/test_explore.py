"""The ordinary tests' searches, ten times as long."""

from __future__ import annotations

import pytest
from test_server_machine import search


def test_the_server_keeps_its_promises_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """See ``tests/test_server_machine.py``."""
    search(monkeypatch, 1500, 60)
