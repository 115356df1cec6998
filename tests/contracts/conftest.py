"""Fixtures for what both clients promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from client_adapters import TALKERS

Connect = Callable[..., Any]


@pytest.fixture(params=TALKERS)
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Connects a client of either kind to the socket at a path; it is closed after the test."""
    talkers: list[Any] = []

    async def connect_one(path: Path | str, **kwargs: Any) -> Any:
        talkers.append(await TALKERS[request.param].connect(path, **kwargs))
        return talkers[-1]

    yield connect_one
    for talker in talkers:
        pytest_twisted.blockon(talker.close())
