"""Shared by the methods that describe another method."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rkllm_twisted.errors import MethodNotFound


@attrs.frozen
class AboutParams:
    """The parameters of these methods.

    :param method: the name of the method.
    """

    method: str


def of_method(name: str, facts: Mapping[str, object]) -> object:
    """Look up the description of a method.

    :raises MethodNotFound: there is no such method; txJSON-RPC answers with the same code.
    """
    if name not in facts:
        raise MethodNotFound.named(name, facts.keys())
    return facts[name]
