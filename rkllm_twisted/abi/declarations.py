"""The types and functions of rkllm.h, and what their C declarations say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

_TYPE = re.compile(r"(?:const )?(\w+) ?(\*?)(?:\[(\d+)\])?")
#: What a row says of a function beside its declarations and its parameters.
_FACTS = ("summary", "administrative", "leaves_cache")
#: The parameters of a function that has none.
_NONE = frozenset({"", "void"})
_PARAMETER = re.compile(r"(.*?)\s*(\w+)")
_DECLARATION = re.compile(r"(.*?)\s*\b(\w+)\((.*)\);?")


@attrs.frozen
class CType:
    """A type of rkllm.h.

    :param base: the type, or what it points to: ``int32_t``, ``char``, ``RKLLMParam`` …
    :param pointer: True if it is a pointer to ``base``.
    :param length: the number of elements, for an array inside a structure.
    """

    base: str
    pointer: bool = False
    length: int | None = None

    @property
    def is_string(self) -> bool:
        """True if it is text; every ``char *`` of rkllm.h is."""
        return self.pointer and self.base == "char"


#: What a call about a loaded model takes; rkllm_init takes a pointer to one.
_HANDLE = CType("LLMHandle")


@attrs.frozen
class Parameter:
    """A parameter of a function.

    :param about: one line that says what it is, for clients.
    :param unit: ``tokens``, ``ms`` …; None if there is none.
    :param nullable: True if it may be null or left out. C then gets NULL, or a structure of zeros.
    :param output: True if C writes to it: it is a part of the result.
    :param per_row: True for an array with one element for each row of the batch (``n_batch``).
    """

    name: str
    type: CType
    about: str = ""
    unit: str | None = None
    nullable: bool = False
    output: bool = False
    per_row: bool = False


@attrs.frozen
class Function:
    """A function, or the type of a callback.

    :param summary: one line that says what it does; empty if a module defines its RPC method.
    :param administrative: True if it changes what all clients share.
    :param leaves_cache: True if it changes neither the KV cache nor what the next run adds to it.
    """

    name: str
    returns: CType
    parameters: tuple[Parameter, ...]
    summary: str = ""
    administrative: bool = False
    leaves_cache: bool = False

    @property
    def needs_model(self) -> bool:
        """True if it takes the handle of a model that is loaded."""
        return any(p.type == _HANDLE for p in self.parameters)

    @property
    def outputs(self) -> tuple[Parameter, ...]:
        """The parameters that C writes to."""
        return tuple(parameter for parameter in self.parameters if parameter.output)


def parse_type(declared: str) -> CType:
    """Parse a C declaration without the name.

    >>> parse_type("const float *")
    CType(base='float', pointer=True, length=None)
    """
    match = _TYPE.fullmatch(declared)
    assert match is not None, declared
    base, star, length = match.groups()
    return CType(base, bool(star), int(length) if length else None)


def parse_function(declared: str, row: Mapping[str, Any]) -> Function:
    """Parse a declaration of rkllm.h, and what a row says beside it."""
    match = _DECLARATION.fullmatch(declared)
    assert match is not None, declared
    returns, name, parameters = match.groups()
    about = row.get("parameters", {})
    return Function(
        name,
        parse_type(returns),
        tuple(
            _parse_parameter(one, about)
            for one in parameters.split(",")
            if one.strip() not in _NONE
        ),
        **{fact: row[fact] for fact in _FACTS if fact in row},
    )


def _parse_parameter(declared: str, about: Mapping[str, Mapping[str, Any]]) -> Parameter:
    match = _PARAMETER.fullmatch(declared.strip())
    assert match is not None, declared
    kind, name = match.groups()
    return Parameter(name, parse_type(kind), **about.get(name, {}))
