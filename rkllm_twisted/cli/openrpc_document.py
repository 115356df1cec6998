"""Reads an OpenRPC document (spec.open-rpc.org, 1.x) for a terminal. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

Json = Mapping[str, Any]


@attrs.frozen
class Document:
    """What ``rpc.discover`` answers."""

    content: Json

    def names(self) -> Sequence[str]:
        """The methods' names, in the document's order."""
        return [method["name"] for method in self.methods()]

    def methods(self) -> Iterator[Json]:
        """The methods, with references followed."""
        return (self.follow(method) for method in self.content.get("methods", ()))

    def method(self, name: str) -> Json | None:
        """One method; None if there is no such."""
        return next((method for method in self.methods() if method["name"] == name), None)

    def like(self, name: str) -> list[str]:
        """Names that a person may have meant."""
        return difflib.get_close_matches(name, self.names(), 3)

    def follow(self, value: Json) -> Json:
        """What a reference within the document refers to; any other value is itself."""
        for _ in range(8):  # a reference to a reference, but no ring
            reference = value.get("$ref", "")
            if not reference.startswith("#/"):
                return value
            target: Any = self.content
            for part in reference[2:].split("/"):
                target = target.get(part.replace("~1", "/").replace("~0", "~"), {})
            value = target
        return value

    def type_of(self, schema: Any) -> str:
        """A JSON Schema in a few words: ``integer``, ``RKLLMParam``, ``array of number`` …"""
        if not isinstance(schema, Mapping):
            return "any"
        if "$ref" in schema:
            return str(schema["$ref"]).rpartition("/")[2]
        if "const" in schema:
            return str(schema["const"])
        if "enum" in schema:
            return " | ".join(map(str, schema["enum"]))
        if "allOf" in schema:
            names = dict.fromkeys(map(self.type_of, schema["allOf"]))
            return " & ".join(name for name in names if name != "object" or len(names) == 1)
        for union in ("oneOf", "anyOf"):
            if union in schema:
                return " | ".join(dict.fromkeys(map(self.type_of, schema[union])))
        kind = schema.get("type", "any")
        if kind == "array" and "items" in schema:
            return f"array of {self.type_of(schema['items'])}"
        return str(kind) if isinstance(kind, str) else " | ".join(map(str, kind))

    def fields(self, schema: Any) -> Iterator[tuple[str, str, str]]:
        """Name, type and description of the members of an object's schema."""
        for part in self._parts(schema):
            for name, member in part.get("properties", {}).items():
                words = member.get("description", "") if isinstance(member, Mapping) else ""
                yield name, self.type_of(member), words

    def _parts(self, schema: Any) -> Iterator[Json]:
        """The schemas that an object has to fit all of, with references followed."""
        found = self.follow(schema) if isinstance(schema, Mapping) else {}
        yield found
        for part in found.get("allOf", ()):
            yield from self._parts(part)

    def structures(self, schemas: Iterable[Any]) -> Mapping[str, Json]:
        """The named objects that schemas refer to, directly or through others, by name."""
        found: dict[str, Json] = {}
        for schema in schemas:
            self._collect(schema, found)
        return found

    def _collect(self, schema: Any, found: dict[str, Json]) -> None:
        if isinstance(schema, Mapping) and "$ref" in schema:
            name, target = self.type_of(schema), self.follow(schema)
            if name in found or "properties" not in target:
                return
            found[name] = schema = target
        parts = schema.values() if isinstance(schema, Mapping) else schema
        if isinstance(parts, Iterable) and not isinstance(parts, str):
            for part in parts:
                self._collect(part, found)
