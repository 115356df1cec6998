"""The interfaces of what keeps an answer to a form: a JSON schema, a pattern, a grammar.

A plugin in ``twisted/plugins/`` that provides :class:`IConstraintEngine` adds an engine; see
``docs/structured.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zope.interface import Attribute, Interface


class IConstraint(Interface):
    """One answer in the making: the tokens that may come next. Used in one thread at a time."""

    stopped = Attribute("bool: True if no token can follow: the answer is complete.")
    accepting = Attribute("bool: True if the answer may end here.")

    def fill(mask: bytearray) -> None:
        """Set the bit of each token that may come next, and clear the others.

        The bit of token 0 is the lowest of the first byte. If the answer may end here, the bits of
        the end tokens are set.

        :param mask: a bit for each token of the table, filled up to a multiple of 32.
        :raises RPCError: the engine has reached one of its limits.
        """

    def consume(tokens: Sequence[int]) -> int:
        """Read tokens of the answer.

        :returns: how many were read. The one after these is not allowed, and changes nothing.
        """

    def forced() -> Sequence[int]:
        """Return the tokens that must come next; empty if there is a choice. None is read."""


class IConstraintEngine(Interface):
    """Makes constraints: provide this together with :class:`twisted.plugin.IPlugin`.

    A provider is a stateless object at the top of a module, whose import does no work.
    """

    name = Attribute("str: the engine's name, for logs.")
    kinds = Attribute("The kinds of :class:`.structured.form.Form` that it can do, a frozenset.")

    def missing() -> Any:
        """Return None if the engine can be used, else a sentence that says what to install."""

    def tokens(table: Any) -> Any:
        """Prepare a model's tokens. It may take a second, and the result is kept.

        :param table: a :class:`.chat.token_table.TokenTable`.
        :returns: what :meth:`constrain` takes.
        """

    def constrain(tokens: Any, form: Any) -> Any:
        """Begin an answer. It may take long: it is called in a thread of the reactor's pool.

        :param tokens: of :meth:`tokens`.
        :param form: a :class:`.structured.form.Form`.
        :returns: an :class:`IConstraint`.
        :raises InvalidParams: the form cannot be kept; the text has the engine's own words.
        """
