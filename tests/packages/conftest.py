"""The packages under test: from ``make packages``, or else built here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source distribution, the wheels and the Debian packages."""
    if "RKLLM_PACKAGES" in os.environ:
        return Path(os.environ["RKLLM_PACKAGES"])
    directory = tmp_path_factory.mktemp("dist")
    others = {"aarch64"} - {os.uname().machine}
    subprocess.run(
        [
            PROJECT / "packaging" / "build",
            directory,
            *(machine for machine in others if shutil.which(f"{machine}-linux-gnu-gcc")),
        ],
        env={**os.environ, "PYTHON": sys.executable},
        check=True,
    )
    return directory
