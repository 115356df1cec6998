"""Runtimes on recording libraries, and hosts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from host_driver import Host
from recording_fixtures import (
    layout,
    library,
    model_file,
    recorder,
    recording_libraries,
    release,
)

__all__ = ["layout", "library", "model_file", "recorder", "recording_libraries", "release"]


@pytest.fixture
def start() -> Iterator[Callable[..., Host]]:
    """Starts hosts, which are killed after the test."""
    hosts: list[Host] = []

    def start_one(*args: Any, **options: Any) -> Host:
        hosts.append(Host(*args, **options))
        return hosts[-1]

    yield start_one
    for host in hosts:
        host.process.kill()
        host.process.wait()
        host.connection.close()
        assert host.process.stdout is not None
        host.process.stdout.close()
