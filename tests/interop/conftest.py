"""Client programs, and the npm libraries that some of them need."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Daemon

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node() -> str:
    """The node command."""
    return shutil.which("node") or pytest.skip("node is not installed, so no client in it is tried")


@pytest.fixture(scope="session")
def node_modules(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The libraries of package.json, installed in an empty directory."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, so no library from it is tried")
    directory = tmp_path_factory.mktemp("npm")
    for name in ("package.json", ".npmrc"):
        shutil.copy(HERE / name, directory)
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip("npm could not install the libraries: " + done.stderr.strip()[-300:])
    assert done.returncode == 0, done.stderr
    return directory / "node_modules"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all clients; each client loads its own model."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    yield daemon
    daemon.stop(signal.SIGTERM)
    assert "Traceback" not in daemon.log.read_text(), daemon.log.read_text()
