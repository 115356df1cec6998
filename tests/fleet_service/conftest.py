"""Ends the fleets of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleet_rig import RIGS


@pytest.fixture(autouse=True)
def ended_fleets() -> Iterator[None]:
    """End what a test has begun, so that nothing of it runs into the next."""
    yield
    while RIGS:
        RIGS.pop().end()
