"""The registry: which plugins become methods, and the warnings about the others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from memory_client import FakeMethod, Flush
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins
from zope.interface import implementer

from rkllm_twisted.errors import PluginClash
from rkllm_twisted.interfaces import IDescribedMethod, IRPCMethod
from rkllm_twisted.rpc.registry import find_methods


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The log's lines, as text."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    yield lines
    globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]


def test_methods_are_found_by_name() -> None:
    """The methods are sorted by name."""
    a, b = FakeMethod("group.a"), FakeMethod("group.b")
    assert list(find_methods([b, a]).items()) == [("group.a", a), ("group.b", b)]


def test_one_object_under_two_names_is_one_method() -> None:
    """For example, a drop-in imports another drop-in's object."""
    method = FakeMethod("a")
    assert find_methods([method, method]) == {"a": method}


class Other(FakeMethod):
    """A third party's method."""


def test_two_methods_with_one_name_are_refused() -> None:
    """The error names both: otherwise chance decides which one answers."""
    with pytest.raises(
        PluginClash, match=r"provide a: memory_client\.FakeMethod and \S+\.Other; remove"
    ):
        find_methods([FakeMethod("a"), Other("a")])


@implementer(IRPCMethod)
class NoSummary:
    """A plugin without a summary."""

    name = "x"
    params = None
    streams = False

    def call(self, call: object) -> object:
        """Do nothing."""


@implementer(IRPCMethod)
class Raises(NoSummary):
    """A plugin whose name raises an exception."""

    summary = ""

    @property
    def name(self) -> str:  # type: ignore[override]
        """Break."""
        raise ZeroDivisionError


@implementer(IRPCMethod)
class TwoArguments(NoSummary):
    """A method whose call has the wrong parameters."""

    summary = ""

    def call(self, call: object, more: object) -> object:  # type: ignore[override]
        """Do nothing."""


@implementer(IDescribedMethod)
class NoResult(FakeMethod):
    """A plugin that claims to describe its result, but does not."""


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (NoSummary(), "summary"),
        (TwoArguments(), "call"),
        (Raises(), "ZeroDivisionError"),
        (object(), "object"),
        (FakeMethod("rpc.mine"), "reserved"),
        (FakeMethod("$/mine"), "reserved"),
        (FakeMethod(""), "no text"),
        (FakeMethod(5), "no text"),  # type: ignore[arg-type]
        (FakeMethod("a", summary=None), "no text"),  # type: ignore[arg-type]
        (NoResult("a"), "result"),
        (attrs.evolve(FakeMethod("a"), params=dict), "no attrs class"),
        (attrs.evolve(FakeMethod("a"), streams="no"), "True nor False"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_and_left_out(
    wrong: object, why: str, logged: list[str]
) -> None:
    """The other plugins become methods."""
    good = FakeMethod("good")
    assert find_methods([wrong, good]) == {"good": good}
    [line] = logged
    assert type(wrong).__qualname__ in line
    assert why in line


def test_a_drop_in_that_cannot_be_imported_is_named_and_left_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[str],
    flush_logged_errors: Flush,
) -> None:
    """The drop-in has a syntax error or a missing import."""
    folder = tmp_path / "someplace" / "plugins"
    folder.mkdir(parents=True)
    (folder / "broken_import.py").write_text("import no_such_module_anywhere\n")
    (folder / "broken_syntax.py").write_text("def (:\n")
    (folder / "fine.py").write_text(
        "from memory_client import FakeMethod\nm = FakeMethod('fine')\n"
    )
    (folder / "__init__.py").write_text("")
    (folder.parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    package = importlib.import_module("someplace.plugins")
    monkeypatch.setattr(
        "rkllm_twisted.rpc.registry.getPlugins", lambda kind: getPlugins(kind, package)
    )
    assert list(find_methods(known={})) == ["fine"]
    flush_logged_errors(ImportError, SyntaxError)  # the tracebacks that twisted.plugin logs
    told = [line for line in logged if "left out" in line]
    assert len(told) == 2
    for name in ("broken_import.py", "broken_syntax.py"):
        assert any(name in line for line in told), told
