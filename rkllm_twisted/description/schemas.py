"""Makes JSON Schemas (draft 7, as in OpenRPC) of the description's types. Pure.

A structure that clients both send and receive has two schemas; the name of the received one ends
with :data:`RECEIVED`. They differ: clients send enums as number or name and receive numbers; a
structure that clients send has required fields and no unknown ones, and one that they receive has
all of its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import msgspec

from rkllm_twisted.description.annotations import SCHEMAS
from rkllm_twisted.description.model import (
    Description,
    Enum,
    Item,
    Origin,
    ResultModel,
    Structure,
    Type,
)

Schema: TypeAlias = dict[str, Any]
RECEIVED = ".received"


@attrs.frozen
class _Array:
    """An array behind a pointer.

    :param is_nested: True if it may be a list of rows; only floats may.
    """

    name: str
    word: str
    dtype: str
    element: Schema
    is_nested: bool


#: The elements of an array -> the form in which clients send and receive it.
_ARRAYS: Mapping[str, _Array] = {
    "number": _Array("FloatArray", "float32", "<f4", {"type": "number"}, True),
    "integer": _Array(
        "IntegerArray",
        "int32",
        "<i4",
        {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
        False,
    ),
}
#: The words for defaults that no schema can state.
_ORIGINS: Mapping[Origin, str] = {
    Origin.LIBRARY: "Left out: the library's own, see rkllm.createDefaultParam.",
    Origin.MODEL: "Left out: the value of rkllm.init.",
}


def ref(name: str) -> Schema:
    """Make a reference to a component."""
    return {"$ref": f"{SCHEMAS}{name}"}


@attrs.frozen
class Schemas:
    """Makes schemas that refer to the structures and enums of one description."""

    description: Description

    def of_type(self, kind: Type, sent: bool) -> Schema:
        """Make the schema of a value."""
        if kind.schema is not None:
            return dict(kind.schema)
        return _either([self._one(kind, name, sent) for name in kind.json])

    def of_item(self, item: Item, sent: bool) -> Schema:
        """Make the schema of a parameter, a field or a part of a result, with its description."""
        facts = {"description": " ".join(_sentences(item)), "x-unit": item.unit, "x-c": item.type.c}
        schema = {**self.of_type(item.type, sent), **{k: v for k, v in facts.items() if v}}
        if sent and item.default is not None and item.default.origin is Origin.VALUE:
            schema |= _default(item.default.value)
        return schema

    def of_result(self, result: ResultModel) -> Schema:
        """Make the schema of a method's result."""
        if not result.items and not result.structure:
            return self.of_type(result.type, sent=False)
        always = [item.name for item in result.items if item.name not in result.sometimes]
        parts = self._object(result.items, always, sent=False) if result.items else {}
        if not result.structure:
            return parts
        whole = ref(self._name(result.structure, sent=False))
        return {"allOf": [whole, parts]} if parts else whole

    def components(self) -> dict[str, Schema]:
        """Make the schemas that the others refer to."""
        made: dict[str, Schema] = {}
        for structure in self.description.structures.values():
            for sent in (True, False):
                if structure.sent if sent else structure.received:
                    made[self._name(structure.name, sent)] = self._structure(structure, sent)
        for enum in self.description.enums.values():
            for sent in (True, False):
                made[self._name(enum.name, sent)] = _enum(enum, names=sent)
        made |= _arrays()
        for method in self.description.methods:
            items = (*method.parameters, *method.result.items)
            for kind in (method.result.type, *(item.type for item in items)):
                made |= kind.parts
        return made

    def _name(self, name: str, sent: bool) -> str:
        """Return the name of a component; a structure that clients send and receive has two."""
        return name if sent or name not in self._sent() else f"{name}{RECEIVED}"

    def _sent(self) -> Iterator[str]:
        """Return the structures that clients send, and the enums in them."""
        for structure in self.description.structures.values():
            if structure.sent:
                yield structure.name
                yield from (field.type.of for field in structure.fields if field.type.of)

    def _structure(self, structure: Structure, sent: bool) -> Schema:
        fields = structure.fields if sent else [_received(field) for field in structure.fields]
        names = [field.name for field in fields if field.required or not sent]
        whole = {"title": structure.name, "description": structure.about}
        # A later release may return more fields. The daemon refuses a field that it does not know.
        return {
            **whole,
            **self._object(fields, names, sent),
            **({"additionalProperties": False} if sent else {}),
        }

    def _object(self, items: Iterable[Item], required: list[str], sent: bool) -> Schema:
        properties = {item.name: self.of_item(item, sent) for item in items}
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
        }

    def _one(self, kind: Type, json: str, sent: bool) -> Schema:
        """Make the schema for one of the JSON types of a value."""
        if json == "null":
            return {"type": "null"}
        if kind.of and kind.of in self.description.enums:
            return ref(self._name(kind.of, sent))
        if kind.of and kind.of in self.description.structures:
            one = ref(self._name(kind.of, sent))
            return {"type": "array", "items": one} if json == "array" else one
        if json == "boolean" and kind.c and sent:
            return {"anyOf": [{"type": json}, {"type": "integer", "enum": [0, 1]}]}
        if json == "integer" and kind.least is not None:
            return {"type": json, "minimum": kind.least, "maximum": kind.greatest}
        if kind.items and kind.items in _ARRAYS and "object" in kind.json:
            return ref(_array_name(kind.items, sent))
        if json == "array" and kind.items:
            return {"type": json, **self._elements(kind.items, kind.length, sent)}
        return {"type": json}

    def _elements(self, items: str, length: int | None, sent: bool) -> Schema:
        is_structure = items in self.description.structures
        one = ref(self._name(items, sent)) if is_structure else {"type": items}
        return {"items": one, **({"minItems": length, "maxItems": length} if length else {})}


def _received(field: Item) -> Item:
    """Return a field as clients receive it: a required one, such as model_path, may be null."""
    if not field.required:
        return field
    return attrs.evolve(field, type=attrs.evolve(field.type, json=(*field.type.json, "null")))


def _either(options: list[Schema]) -> Schema:
    """Return a schema that allows any of several; schemas with only a type become one list."""
    options = [option for i, option in enumerate(options) if option not in options[:i]]
    if len(options) < 2:
        return options[0] if options else {}
    if all(option.keys() == {"type"} for option in options):
        return {"type": [option["type"] for option in options]}
    return {"anyOf": options}


def _sentences(item: Item) -> Iterator[str]:
    if item.meaning:
        yield item.meaning
    if item.rows:
        yield f"{' × '.join(item.rows)} {'elements' if item.exact else 'rows'}."
    if item.chosen_by:
        yield f"Required with {item.chosen_by}."
    elif item.default is not None and item.default.origin in _ORIGINS:
        yield _ORIGINS[item.default.origin]


def _default(value: object) -> Schema:
    try:
        return {"default": msgspec.json.decode(msgspec.json.encode(value))}
    except Exception:  # noqa: BLE001 - a plugin's value may have no JSON
        return {}


def _enum(enum: Enum, names: bool) -> Schema:
    values = "; ".join(f"{v.number} {v.name}: {v.meaning.rstrip('.')}" for v in enum.values)
    numbers = {"type": "integer", "enum": [value.number for value in enum.values]}
    texts = {"type": "string", "enum": [value.name for value in enum.values]}
    about = {"title": enum.name, "description": f"{enum.about} {values}."}
    return {**about, "anyOf": [numbers, texts]} if names else {**about, **numbers}


def _array_name(items: str, sent: bool) -> str:
    array = _ARRAYS[items]
    return array.name if sent or not array.is_nested else f"{array.name}{RECEIVED}"


def _arrays() -> Iterator[tuple[str, Schema]]:
    for items, array in _ARRAYS.items():
        yield _array_name(items, True), _list_or_base64(array, array.element)
        yield f"{array.name}.base64", _base64(array)
        if array.is_nested:
            # The daemon sends a number without JSON, such as an infinity, as null.
            element = {"type": [array.element["type"], "null"]}
            yield _array_name(items, False), _list_or_base64(array, element)


def _list_or_base64(array: _Array, element: Schema) -> Schema:
    rows: Schema = {"type": "array", "items": element}
    for _ in range(array.is_nested * 2):
        rows = {"type": "array", "items": {"anyOf": [element, rows]}}
    return {
        "description": f"{array.word} as a list, or as base64, see server.configure.",
        "anyOf": [rows, ref(f"{array.name}.base64")],
    }


def _base64(array: _Array) -> Schema:
    count = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
    properties = {
        "base64": {"type": "string", "contentEncoding": "base64"},
        "dtype": {"type": "string", "const": array.dtype},
        "shape": {"type": "array", "items": count, "maxItems": 8},
    }
    return {
        "description": f"The elements as little-endian {array.word}, row by row.",
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
