"""Puts the members of all objects into one order, in a schema and in values. Pure.

llguidance takes an object's properties in the order of its schema only. If both are sorted in the
same way, the order in which they were written does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

#: What is a value in a schema, and no schema.
_VALUES = ("const", "enum")

#: A name, or else a part of a schema.
_NameOrPart = tuple[str | None, Any]


@attrs.frozen
class MemberOrder:
    """An order of names.

    :param places: name -> its place. Other names come behind these, by the alphabet.
    """

    places: Mapping[str, int]

    def of(self, value: Any) -> Any:
        """Return a value of JSON in this order."""
        if isinstance(value, list):
            return [self.of(one) for one in value]
        if isinstance(value, Mapping):
            return {name: self.of(one) for name, one in self._sorted(value)}
        return value

    def of_schema(self, schema: Any) -> Any:
        """Return a schema whose properties, and whose values, are in this order."""
        if isinstance(schema, list):
            return [self.of_schema(one) for one in schema]
        if not isinstance(schema, Mapping):
            return schema
        made = {}
        for keyword, one in schema.items():
            if keyword in _VALUES:
                made[keyword] = self.of(one)
                continue
            is_properties = keyword == "properties" and isinstance(one, Mapping)
            made[keyword] = self.of_schema(dict(self._sorted(one)) if is_properties else one)
        return made

    def _sorted(self, members: Mapping[str, Any]) -> list[tuple[str, Any]]:
        last = len(self.places)
        return sorted(members.items(), key=lambda one: (self.places.get(one[0], last), one[0]))


def order_of(schema: Mapping[str, Any]) -> MemberOrder:
    """Return the order in which the names come first in a schema.

    The parts of ``allOf`` and what a ``$ref`` within the schema names are gone into where they
    stand, so that an object that is made of several has its names in the order of these.
    """
    places: dict[str, int] = {}
    entered: set[int] = set()
    waiting: list[_NameOrPart] = [(None, schema)]
    while waiting:
        name, part = waiting.pop()
        if name is not None:
            places.setdefault(name, len(places))
        elif id(part) not in entered:  # a schema may contain itself
            entered.add(id(part))
            waiting += reversed([*_inside(part, schema)])
    return MemberOrder(places)


def _inside(part: Any, schema: Mapping[str, Any]) -> Iterator[_NameOrPart]:
    """Yield what a part of a schema has, in the order in which llguidance joins it."""
    if isinstance(part, list):
        yield from ((None, one) for one in part)
    if not isinstance(part, Mapping):
        return
    for keyword, one in part.items():
        if keyword == "$ref":
            yield None, _target(one, schema)
        elif keyword == "properties" and isinstance(one, Mapping):
            yield from ((name, None) for name in one)
            yield from ((None, inner) for inner in one.values())
        elif keyword not in _VALUES:
            yield None, one
    required = part.get("required")
    if isinstance(required, list):  # names that no part has described
        yield from ((name, None) for name in required if isinstance(name, str))


def _target(reference: Any, schema: Mapping[str, Any]) -> Any:
    """Return the part of a schema that a ``$ref`` names; None if there is none."""
    found: Any = schema
    for step in str(reference).split("/")[1:]:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
