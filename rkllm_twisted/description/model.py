"""The values that describe the methods: what ``docs/methods.md`` and ``rpc.discover`` are made of.

Facts only, in words that suit any form; :mod:`rkllm_twisted.description.describe` makes them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Type:
    """What a value may be.

    :param json: the JSON types that fit: ``string``, ``integer``, ``number``, ``boolean``,
        ``object``, ``array``, ``null``; none at all where anything does.
    :param c: as rkllm.h declares it; None for what C does not know.
    :param least: of a whole number.
    :param greatest: of a whole number.
    :param of: the structure or enum that it is.
    :param items: what an array holds: ``number`` or ``integer``, or the structure.
    :param length: of an array that has always the same.
    :param schema: its JSON Schema, where a plugin's annotation is all that is known.
    :param parts: what that schema refers to, by name in ``#/components/schemas``.
    """

    json: tuple[str, ...]
    c: str | None = None
    least: int | None = None
    greatest: int | None = None
    of: str | None = None
    items: str | None = None
    length: int | None = None
    schema: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    parts: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


class Origin(enum.Enum):
    """Where a default comes from."""

    VALUE = "a value"
    LIBRARY = "the loaded library's own, see rkllm.createDefaultParam"
    MODEL = "what rkllm.init was told"


@attrs.frozen
class Default:
    """What a value is that was left out.

    :param value: for :attr:`Origin.VALUE`.
    """

    origin: Origin
    value: object = None


@attrs.frozen
class Item:
    """A parameter, a field of a structure, or a part of a result.

    :param meaning: one line.
    :param unit: ``tokens``, ``ms`` …
    :param default: None where it must be there, or where the daemon is the one who gives it.
    :param required: must a client give it?
    :param rows: of an array: the fields whose product is its number of elements or rows.
    :param exact: is that its number of elements? Else each row has a width that is the model's.
    :param chosen_by: the value of ``input_type`` with which it is there, and only then.
    :param releases: of the runtime, oldest first, that have it.
    """

    name: str
    type: Type
    meaning: str
    unit: str | None = None
    default: Default | None = None
    required: bool = False
    rows: tuple[str, ...] = ()
    exact: bool = False
    chosen_by: str | None = None
    releases: tuple[str, ...] = ()


@attrs.frozen
class Structure:
    """A structure of rkllm.h.

    :param fields: of all releases; one that has changed its type stands there once for each.
    :param sent: do clients send it?
    :param received: does the daemon?
    """

    name: str
    about: str
    fields: tuple[Item, ...]
    releases: tuple[str, ...]
    sent: bool
    received: bool


@attrs.frozen
class EnumValue:
    """A value of an enum."""

    name: str
    number: int
    meaning: str
    releases: tuple[str, ...]


@attrs.frozen
class Enum:
    """An enum of rkllm.h; requests may give its values as numbers or by name."""

    name: str
    about: str
    values: tuple[EnumValue, ...]


@attrs.frozen
class ErrorKind:
    """An error that a method may answer with."""

    code: int
    name: str
    meaning: str


@attrs.frozen
class Slot:
    """A parameter's place in C's order.

    :param owned: does the daemon fill it?
    """

    name: str
    owned: bool


@attrs.frozen
class ResultModel:
    """What a method answers.

    :param about: in words, where the parts do not say it.
    :param structure: of rkllm.h, whose fields the result has.
    :param items: its other parts.
    :param sometimes: those of them that are not always there.
    :param type: of one that is no object with such parts.
    """

    about: str = ""
    structure: str | None = None
    items: tuple[Item, ...] = ()
    sometimes: frozenset[str] = frozenset()
    type: Type = Type(())


@attrs.frozen
class MethodDescription:
    """A method.

    :param function: the C function that it is; None for the daemon's own methods.
    :param administrative: is it for administrators, where there are some?
    :param slots: every parameter in C's order, as in the newest of the releases described.
    :param is_open: does it look at its parameters itself, so that nobody else knows them?
    :param errors: that it may answer with, beside those that any request may get.
    :param releases: that have it.
    """

    name: str
    summary: str
    function: str | None
    streams: bool
    administrative: bool
    parameters: tuple[Item, ...]
    slots: tuple[Slot, ...]
    is_open: bool
    result: ResultModel
    errors: tuple[ErrorKind, ...]
    releases: tuple[str, ...]


@attrs.frozen
class Description:
    """All methods, and what their parameters and results are made of.

    :param releases: of the runtime that are described, oldest first.
    """

    methods: tuple[MethodDescription, ...]
    structures: Mapping[str, Structure]
    enums: Mapping[str, Enum]
    releases: tuple[str, ...]
