"""Imports point down the layers only (docs/design.md, section 1)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from layers import FOLDERS, as_markdown, folder_of

import rkllm_twisted

PACKAGE = Path(rkllm_twisted.__file__).parent

OUTSIDE = frozenset().union(*(folder.outside for folder in FOLDERS))
MODULES = sorted(PACKAGE.rglob("*.py"))
DESIGN = Path(__file__).parents[1] / "docs" / "design.md"


def name_of(path: Path) -> str:
    """``abi.release`` for ``abi/release.py``; a package is named by its folder."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def imports_of(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its layer"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_module(dotted: str) -> str:
    """The module of this package that a dotted name belongs to."""
    parts = dotted.split(".")[1:]
    while parts and not (
        PACKAGE.joinpath(*parts).with_suffix(".py").is_file()
        or PACKAGE.joinpath(*parts, "__init__.py").is_file()
    ):
        parts.pop()
    return ".".join(parts) or "__init__"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    """A module imports from its folder, and from the layers and packages of its folder's row."""
    name = name_of(path)
    own = folder_of(name)
    for dotted in imports_of(path):
        package = dotted.split(".")[0]
        if package == "rkllm_twisted":
            target = folder_of(own_module(dotted))
            assert target is own or target.layer in own.layers, f"{name} imports {dotted}"
        elif package in OUTSIDE:
            assert package in own.outside, f"{name} imports {package}"


def test_no_two_folders_import_each_other() -> None:
    """The folders' imports have no circle, within a layer either."""
    arrows: dict[str, set[str]] = {}
    for path in MODULES:
        own = folder_of(name_of(path)).name
        for dotted in imports_of(path):
            if dotted.split(".")[0] == "rkllm_twisted":
                arrows.setdefault(own, set()).add(folder_of(own_module(dotted)).name)
    order = TopologicalSorter({own: others - {own} for own, others in arrows.items()})
    order.prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_stay_small(path: Path) -> None:
    """No module is longer than 300 lines."""
    assert len(path.read_text().splitlines()) <= 300


def test_the_design_shows_this_very_table() -> None:
    """docs/design.md holds the table that the tests read."""
    assert as_markdown() in DESIGN.read_text()
