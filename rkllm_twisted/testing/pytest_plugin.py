"""Fixtures: ``pytest_plugins = ["rkllm_twisted.testing.pytest_plugin"]`` in a ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rkllm_twisted.testing.daemon import FakeDaemon


@pytest.fixture
def fake_rkllm() -> Iterator[FakeDaemon]:
    """A fake daemon. Override this fixture for a daemon with answers or a model."""
    with FakeDaemon() as daemon:
        yield daemon


@pytest.fixture
def rkllm_socket(fake_rkllm: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The path of a socket of ``fake_rkllm``; ``$RKLLM_UDS_PATH`` is set to it."""
    with fake_rkllm.listening() as path:
        monkeypatch.setenv("RKLLM_UDS_PATH", path)
        yield path
