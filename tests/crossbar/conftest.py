"""One fleet of processes for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crossbar_fleet import Fleet
from crossbar_router import require_crossbar


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet for all tests."""
    require_crossbar()
    directory = tmp_path_factory.mktemp("fleet")
    (directory / "router").mkdir()
    fleet = Fleet(directory)
    yield fleet
    fleet.stop()


@pytest.fixture
def services(started: Fleet) -> Fleet:
    """The same, when all boards are free."""
    started.await_boards(3)
    return started
