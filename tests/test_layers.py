"""Imports point down the layers only (docs/design.md, section 1)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rkllm_twisted

PACKAGE = Path(rkllm_twisted.__file__).parent

#: Module or folder -> its layer. The longest name that fits counts.
LAYERS = {
    "__init__": 0,
    "interfaces": 0,
    "iruntime": 0,
    "errors": 0,
    "values": 0,
    "wire": 1,
    "binding": 1,
    "cpu": 1,
    "board": 1,
    "description.values": 1,
    "remote": 1,
    "remote.reaching": 2,
    "remote.pipe": 2,
    "rpc": 2,
    "binding.library": 2,
    "binding.recognise": 2,
    "binding.callback": 2,
    "binding.runtime": 2,
    "binding.probe": 2,
    "description": 2,
    "npu.turns": 2,
    "description.describe": 3,
    "description.telling": 3,
    "npu": 3,
    "isolation": 3,
    "methods": 3,
    "server": 4,
    "blocking": 4,
    "client": 4,
    "daemon": 5,
    "isolation.homes": 5,
    "server.descriptors": 5,
    "server.listening": 5,
    "checking": 5,
    "config": 5,
    "forms": 5,
    "setting": 5,
    "logs": 5,
    "options": 5,
    "systemd": 4,
    "tap": 5,
    "twistd": 5,
    "cli": 5,
    "contract": 5,
    "testing": 5,
}
#: Layer -> the outside packages that a module there may import, beside the standard library.
OUTSIDE = {
    0: {"attrs", "zope"},
    1: {"attrs", "zope", "msgspec"},
    2: {"attrs", "zope", "msgspec", "twisted"},
    3: {"attrs", "zope", "twisted"},
    4: {"attrs", "zope", "twisted"},
    5: {"attrs", "zope", "twisted", "click", "msgspec", "rich", "prompt_toolkit", "pygal"},
}
#: Where the table's "may import" is narrower than "everything below".
ONLY_LAYER_0 = {"methods"}
NEVER_LAYER_3 = {"server", "blocking", "client"}
WITHOUT_TWISTED = {"binding", "board", "blocking", "cli", "contract", "remote"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """``binding.runtime`` for ``binding/runtime.py``; a package is named by its folder."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def layer_of(name: str) -> int:
    """The layer of a module; one that is in no layer is an error of the table."""
    while name not in LAYERS:
        assert "." in name, f"{name} stands in no layer: add it to the table"
        name = name.rpartition(".")[0]
    return LAYERS[name]


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
    layer = layer_of(name)
    for dotted in imports_of(path):
        package = dotted.split(".")[0]
        if package == "rkllm_twisted":
            target = own_module(dotted)
            below = layer_of(target)
            assert below <= layer, f"{name} (layer {layer}) imports {target} (layer {below})"
            if top in ONLY_LAYER_0 and target.split(".")[0] != top:
                assert below == 0, f"{name} may import layer 0 only, not {target}"
            assert not (top in NEVER_LAYER_3 and below == 3), f"{name} imports {target}"
        elif package in OUTSIDE[5]:
            assert package in OUTSIDE[layer], f"{name} (layer {layer}) imports {package}"
            if package == "twisted":
                assert top not in WITHOUT_TWISTED, f"{name} imports twisted"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_stay_small(path: Path) -> None:
    """No module is longer than 300 lines."""
    assert len(path.read_text().splitlines()) <= 300
