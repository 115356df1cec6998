"""The Debian package's extras are those of setup.cfg."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_the_package_has_all_of_chat() -> None:
    """Its requirements are written twice, because one of them is installed alone."""
    config = configparser.ConfigParser()
    config.read(PROJECT / "setup.cfg")
    wanted = config["options.extras_require"]["chat"].strip().splitlines()
    tree = ast.parse((PROJECT / "packaging/build_deb.py").read_text())
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("CHAT", "ALONE")
    }
    assert sorted([*constants["CHAT"], *constants["ALONE"]]) == sorted(wanted)
