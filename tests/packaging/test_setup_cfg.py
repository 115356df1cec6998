"""setup.cfg names all that an installed package needs."""

from __future__ import annotations

import configparser
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_every_package_is_installed() -> None:
    """A folder with modules that is not in the list is missing from the wheel only."""
    config = configparser.ConfigParser()
    config.read(PROJECT / "setup.cfg")
    named = set(config["options"]["packages"].split())
    folders = {path.parent for path in (PROJECT / "rkllm_twisted").rglob("*.py")}
    there = {".".join(folder.relative_to(PROJECT).parts) for folder in folders}
    assert named - {"twisted.plugins"} == there
