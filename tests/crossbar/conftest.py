"""One fleet of processes for all tests that need one, and a router for each other module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from crossbar_fleet import Fleet
from crossbar_router import CrossbarRouter, require_crossbar
from twisted.internet.defer import ensureDeferred


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


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrossbarRouter]:
    """A router without a fleet."""
    router = CrossbarRouter(Path(tmp_path_factory.mktemp("router")))
    yield router
    router.stop()


@pytest.fixture
def fleet(router: CrossbarRouter) -> Iterator[CrossbarRouter]:
    """The same; its members leave after each test."""
    yield router
    pytest_twisted.blockon(ensureDeferred(router.dismiss()))
