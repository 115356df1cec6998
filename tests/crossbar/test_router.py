"""The engine over a real router keeps the contract of engines, and away from Crossbar's faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from crossbar_router import CrossbarRouter, require_crossbar
from engine_contract import *  # noqa: F403 - the tests are the names
from twisted.internet.defer import ensureDeferred

require_crossbar()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrossbarRouter]:
    router = CrossbarRouter(Path(tmp_path_factory.mktemp("router")))
    yield router
    router.stop()


@pytest.fixture
def fleet(router: CrossbarRouter) -> Iterator[Any]:
    yield router
    pytest_twisted.blockon(ensureDeferred(router.dismiss()))
