"""A directive for zope interfaces, which autodoc takes for instances of something."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docstrings import prepare_docstring
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles
from zope.interface import Interface
from zope.interface.interface import InterfaceClass, Method


class AutoInterface(SphinxDirective):
    """Documents an interface, with all that it asks of its providers."""

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Write it as a class with methods and attributes, and have that parsed."""
        module, _, name = self.arguments[0].rpartition(".")
        interface = getattr(importlib.import_module(module), name)
        lines = StringList(
            list(described(interface, module)), source=f"docstring of {self.arguments[0]}"
        )
        node = nodes.section()
        node.document = self.state.document
        nested_parse_with_titles(self.state, lines, node)
        return node.children


def described(interface: InterfaceClass, module: str) -> Iterator[str]:
    """Write an interface as reStructuredText.

    :param module: where programs import it from.
    """
    yield f".. py:currentmodule:: {module}"
    yield ""
    yield f".. py:class:: {interface.getName()}"
    yield ""
    bases = [base for base in interface.__bases__ if base is not Interface]
    if bases:
        names = ", ".join(f":class:`{base.getName()}`" for base in bases)
        yield f"   An interface; all of {names}, and:"
        yield ""
    yield from indented(interface.getDoc())
    for name, member in interface.namesAndDescriptions():
        kind, signature = "attribute", ""
        if isinstance(member, Method):
            kind, signature = "method", member.getSignatureString()
        yield f"   .. py:{kind}:: {name}{signature}"
        yield ""
        yield from (f"   {line}" for line in indented(member.getDoc()))


def indented(text: str) -> Iterator[str]:
    """A docstring, as the body of a directive."""
    return (f"   {line}".rstrip() for line in prepare_docstring(text))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("autointerface", AutoInterface)
    return {"parallel_read_safe": True}
