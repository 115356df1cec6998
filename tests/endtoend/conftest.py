"""Daemons to talk to, and models for them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon

Start = Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons that are stopped when the test is over; their logs must hold no traceback."""
    daemons: list[Daemon] = []

    def start_one(*options: str, directory: Path = tmp_path, **kwargs: Any) -> Daemon:
        daemons.append(Daemon(directory, *options, **kwargs))
        return daemons[-1]

    yield start_one
    for daemon in daemons:
        daemon.stop(signal.SIGTERM)
        assert "Traceback" not in daemon.log.read_text(), daemon.log.read_text()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a model file for the scripted engine."""

    def write(text: str) -> Path:
        path = tmp_path / "model.script"
        path.write_text("#!rkllm-script 1\n" + text)
        return path

    return write
