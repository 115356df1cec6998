"""Names that are private to Twisted are used in three modules only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import rkllm_twisted
import twisted

PACKAGE = Path(rkllm_twisted.__file__).parent
ALLOWED = {"server/bare_socket.py", "server/transport.py", "daemon/program.py"}
#: Where the names come from: what the package builds on.
OWNERS = (
    "application/internet.py",
    "application/service.py",
    "internet/abstract.py",
    "internet/base.py",
    "internet/defer.py",
    "internet/endpoints.py",
    "internet/posixbase.py",
    "internet/process.py",
    "internet/protocol.py",
    "internet/tcp.py",
    "internet/unix.py",
    "logger/_logger.py",
    "protocols/basic.py",
    "python/failure.py",
    "python/threadpool.py",
    "python/usage.py",
)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def attributes_of(path: Path) -> Iterator[tuple[str, bool]]:
    """The private attributes that a module uses, and whether it assigns them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr, isinstance(node.ctx, ast.Store)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("twisted"):
            yield from ((alias.name, False) for alias in node.names if is_private(alias.name))


def defined_in(path: Path) -> set[str]:
    """The private names that a module or its classes make."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names | {name for name, stored in attributes_of(path) if stored}


def test_twisteds_private_names_are_in_three_modules_only() -> None:
    """A name that Twisted defines and a module of the package uses without making it itself."""
    root = Path(twisted.__file__).parent
    theirs = {name for owner in OWNERS for name in defined_in(root / owner) if is_private(name)}
    ours = {name for path in PACKAGE.rglob("*.py") for name in defined_in(path)}
    found = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in ALLOWED
        for name, _ in attributes_of(path)
        if name in theirs - ours
    }
    assert found == set()


def test_a_receiver_has_no_attribute_of_twisteds() -> None:
    """The protocol's private names must differ from NetstringReceiver's."""
    root = Path(twisted.__file__).parent
    theirs = {name for name in defined_in(root / "protocols/basic.py") if is_private(name)}
    protocol = {name for name, stored in attributes_of(PACKAGE / "server/protocol.py") if stored}
    assert protocol & theirs == set()
