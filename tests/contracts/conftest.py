"""Fixtures for the contract of both clients."""

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
    """Return a function that connects either kind of client; the client is closed at the end."""
    talkers: list[Any] = []

    async def connect_one(path: Path | str, **kwargs: Any) -> Any:
        talkers.append(await TALKERS[request.param].connect(path, **kwargs))
        return talkers[-1]

    yield connect_one
    for talker in talkers:
        pytest_twisted.blockon(talker.close())
