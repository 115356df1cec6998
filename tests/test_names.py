"""One word stands for one concept: no class name is defined twice in the package."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import rkllm_twisted

PACKAGE = Path(rkllm_twisted.__file__).parent
#: Names that may stand twice. The list may only shrink, but for the first two, which are meant:
#: the clients of both kinds are called Client, and each kind of options is called Options.
TWICE = {
    "Client",
    "Options",
    "Params",
}


def defined() -> Counter[str]:
    """How often each class name is defined at the top of a module."""
    return Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )


def test_no_class_name_stands_for_two_things() -> None:
    """A name that is defined twice must be in the list."""
    assert {name for name, count in defined().items() if count > 1} - TWICE == set()


def test_the_list_only_shrinks() -> None:
    """A name that is not defined twice any more leaves the list."""
    assert {name for name in TWICE if defined()[name] < 2} == set()
