"""Imports point down the layers only (docs/design.md, section 1)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from layers import (
    EXTRAS,
    LAYERS,
    ONLY_IN,
    PURE_ROOMS,
    SHARED_ROOM,
    WITHOUT_DOMAIN,
    WITHOUT_TWISTED,
    WORDS_ONLY,
    as_markdown,
    layer_of,
)

import rkllm_twisted

PACKAGE = Path(rkllm_twisted.__file__).parent

OUTSIDE = frozenset().union(*(layer.outside for layer in LAYERS))
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
    """A module imports from its own layer or below, and no outside package above its layer."""
    name, top = name_of(path), name_of(path).split(".")[0]
    layer = layer_of(top)
    for dotted in imports_of(path):
        package = dotted.split(".")[0]
        if package == "rkllm_twisted":
            target = own_module(dotted).split(".")[0]
            below = layer_of(target)
            assert below <= layer, f"{name} (layer {layer}) imports {dotted} (layer {below})"
            if top in WORDS_ONLY and target != top:
                assert below == 0, f"{name} may import layer 0 only, not {dotted}"
            if top in WITHOUT_DOMAIN:
                assert LAYERS[below].name != "domain", f"{name} imports {dotted}"
        elif package in OUTSIDE:
            assert package in LAYERS[layer].outside, f"{name} (layer {layer}) imports {package}"
            assert EXTRAS.get(package, name) == name, f"{name} imports {package}"
            folders = ONLY_IN.get((LAYERS[layer].name, package), {top})
            assert top in folders, f"{name} imports {package}, which is for {folders} only"
            if package == "twisted":
                assert top not in WITHOUT_TWISTED, f"{name} imports twisted"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_translations_are_pure(path: Path) -> None:
    """A pure room in a higher layer imports the pure layers, the shared room and its own folder."""
    name = name_of(path)
    room = next((room for room in PURE_ROOMS if f"{name}.".startswith(f"{room}.")), None)
    if room is None:
        return
    for dotted in imports_of(path):
        package = dotted.split(".")[0]
        assert package not in OUTSIDE or package in LAYERS[1].outside, f"{name} imports {package}"
        if package == "rkllm_twisted":
            target = own_module(dotted)
            is_own = f"{target}.".startswith((f"{room}.", f"{SHARED_ROOM}."))
            assert is_own or layer_of(target.split(".")[0]) <= 1, f"{name} imports {dotted}"


def test_no_two_folders_import_each_other() -> None:
    """The folders' imports have no circle, within a layer either."""
    arrows: dict[str, set[str]] = {}
    for path in MODULES:
        top = name_of(path).split(".")[0]
        for dotted in imports_of(path):
            if dotted.split(".")[0] == "rkllm_twisted":
                arrows.setdefault(top, set()).add(own_module(dotted).split(".")[0])
    order = TopologicalSorter({top: others - {top} for top, others in arrows.items()})
    order.prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_stay_small(path: Path) -> None:
    """No module is longer than 300 lines."""
    assert len(path.read_text().splitlines()) <= 300


def test_the_design_shows_this_very_table() -> None:
    """docs/design.md holds the table that the tests read."""
    assert as_markdown() in DESIGN.read_text()
