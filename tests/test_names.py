"""One word stands for one concept: names of classes, aliases, numbers and loggers."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import rkllm_twisted

PACKAGE = Path(rkllm_twisted.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
#: Names that may stand twice. The list may only shrink, but for these, which are meant:
#: the clients of both kinds are called Client, each kind of options is called Options, and each
#: method's module calls the class of its parameters Params.
TWICE = {
    "Client",
    "Options",
    "Params",
}
#: Aliases that have the name of a class or of another alias. The list may only shrink.
ALIASES_TWICE = {
    "Conversation",
    "Event",
    "Message",
    "Part",
    "Reply",
    "Result",
    "Schema",
    "Stream",
}
#: Numbers with a name of one word. The list may only shrink.
ONE_WORD = {
    "GIB",
    "IOLBF",
    "MIB",
    "NOBODY",
}


def assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The names that are assigned at the top of a module, and what to."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value


def classes() -> Counter[str]:
    """How often each class name is defined at the top of a module, private or not."""
    return Counter(
        node.name.lstrip("_")
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )


def aliases() -> Counter[str]:
    """How often each name of a type is assigned at the top of a module, private or not."""
    names = (name.lstrip("_") for tree in TREES.values() for name, _ in assigned(tree))
    return Counter(name for name in names if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name))


def is_number(value: ast.expr) -> bool:
    """True for a number, or for arithmetic with numbers only."""
    nodes = [type(node) for node in ast.walk(value)]
    constants = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)]
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    return all(issubclass(node, allowed) for node in nodes) and all(
        isinstance(constant, int | float) and not isinstance(constant, bool)
        for constant in constants
    )


def numbers_of_one_word() -> set[str]:
    """The constants that are numbers and do not say of what."""
    return {
        name
        for tree in TREES.values()
        for name, value in assigned(tree)
        if name.isupper() and "_" not in name.strip("_") and is_number(value)
    }


def test_no_class_name_stands_for_two_things() -> None:
    """A name that is defined twice must be in the list."""
    assert {name for name, count in classes().items() if count > 1} - TWICE == set()


def test_the_list_only_shrinks() -> None:
    """A name that is not defined twice any more leaves the list, and so do the other exceptions."""
    both = classes() + aliases()
    assert {name for name in TWICE if classes()[name] < 2} == set()
    assert {name for name in ALIASES_TWICE if both[name] < 2} == set()
    assert ONE_WORD - numbers_of_one_word() == set()


def test_no_alias_has_the_name_of_another_thing() -> None:
    """An alias that does must be in the list."""
    both = classes() + aliases()
    assert {name for name in aliases() if both[name] > 1} - TWICE - ALIASES_TWICE == set()


def test_a_number_says_what_it_limits() -> None:
    """Its name has a second word, such as the unit, or is in the list."""
    assert numbers_of_one_word() - ONE_WORD == set()


def test_every_logger_is_named_for_its_subject() -> None:
    """The module's name would be in the log, and a module that moves would change the log."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Logger":
                assert ast.unparse(node).startswith("Logger('rkllm."), path
