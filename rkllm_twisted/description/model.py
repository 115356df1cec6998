"""The values that describe the methods. ``docs/methods.md`` and ``rpc.discover`` are made of them.

:mod:`rkllm_twisted.description.describe` makes them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Type:
    """The type of a value.

    :param json: the JSON types that fit: ``string``, ``integer``, ``number``, ``boolean``,
        ``object``, ``array``, ``null``; empty if any type fits.
    :param c: the declaration in rkllm.h; None if it has none.
    :param least: the least whole number.
    :param greatest: the greatest whole number.
    :param of: the structure or enum.
    :param items: the elements of an array: ``number``, ``integer``, or a structure.
    :param length: the number of elements of an array, if it is fixed.
    :param schema: the JSON Schema, if it comes from a plugin's annotation.
    :param parts: the schemas that this one refers to, by name in ``#/components/schemas``.
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
    """The origin of a default."""

    VALUE = "a value"
    LIBRARY = "the loaded library's own, see rkllm.createDefaultParam"
    MODEL = "the value of rkllm.init"


@attrs.frozen
class Default:
    """The value of a parameter or field that is left out.

    :param value: the value, for :attr:`Origin.VALUE`.
    """

    origin: Origin
    value: object = None


@attrs.frozen
class Item:
    """A parameter, a field of a structure, or a part of a result.

    :param meaning: one line.
    :param unit: ``tokens``, ``ms`` …
    :param default: None if it is required, or if the daemon sends it.
    :param required: True if a client must send it.
    :param rows: for an array: the fields whose product is its number of elements or rows.
    :param exact: True if that is the number of elements; else each row has the model's width.
    :param chosen_by: the only value of ``input_type`` with which it is there.
    :param releases: the releases of the runtime that have it, oldest first.
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


def item(name: str, json: str, meaning: str, unit: str | None = None, **facts: str) -> Item:
    """Describe a part of a result.

    :param json: its JSON types, with ``or`` between them.
    :param facts: further fields of its :class:`Type`.
    """
    kind = Type(tuple(json.split(" or ")), **facts)  # type: ignore[arg-type]  # names only
    return Item(name, kind, meaning, unit)


@attrs.frozen
class Structure:
    """A structure of rkllm.h.

    :param fields: the fields of all releases; a field that changed its type is there once per type.
    :param sent: True if clients send it.
    :param received: True if clients receive it.
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
    """An error that a method may return."""

    code: int
    name: str
    meaning: str


@attrs.frozen
class Slot:
    """A parameter in C's order.

    :param owned: True if the daemon fills it.
    """

    name: str
    owned: bool


@attrs.frozen
class ResultModel:
    """The result of a method.

    :param about: a description, if the parts do not say enough.
    :param structure: the structure of rkllm.h whose fields the result has.
    :param items: its other parts.
    :param sometimes: the parts that may be missing.
    :param type: its type, if it is not an object with such parts.
    """

    about: str = ""
    structure: str | None = None
    items: tuple[Item, ...] = ()
    sometimes: frozenset[str] = frozenset()
    type: Type = Type(())


@attrs.frozen
class MethodDescription:
    """A method.

    :param function: its C function; None for the daemon's own methods.
    :param administrative: True if only administrators may call it, if there are some.
    :param slots: every parameter in C's order, as in the newest described release.
    :param is_open: True if it checks its parameters itself, so that they are not known here.
    :param errors: its errors, without those that any request may have.
    :param releases: the releases that have it.
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
    """All methods, and the structures and enums in their parameters and results.

    :param releases: the described releases of the runtime, oldest first.
    """

    methods: tuple[MethodDescription, ...]
    structures: Mapping[str, Structure]
    enums: Mapping[str, Enum]
    releases: tuple[str, ...]
