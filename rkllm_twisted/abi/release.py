"""Reads the C interface of librkllmrt, release by release, from ``rkllm-abi.json``.

The JSON has the facts of the vendor's ``rkllm.h`` (releases 1.1.x to 1.3.0, LP64). A new release
needs a new entry there and a line in :data:`COVERS`; code reads all layouts from the JSON.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path  # importlib.resources takes 2 MB and 10 ms
from typing import Any

import attrs

from rkllm_twisted.errors import LibraryError

#: Layout -> the releases that have it (``about`` in the JSON; headers of release-v1.1.0…v1.3.0).
COVERS: Mapping[str, tuple[str, ...]] = {
    "1.1.4": ("1.1.0", "1.1.1", "1.1.2", "1.1.3", "1.1.4"),
    "1.2.0": ("1.2.0",),
    "1.2.1": ("1.2.1", "1.2.2", "1.2.3"),
    "1.3.0": ("1.3.0",),
}

#: The types X for which ``X *`` points to an array; other pointers point to a single X.
_NUMBERS = frozenset({"float", "int32_t", "int"})
_TYPE = re.compile(r"(?:const )?(\w+) ?(\*?)(?:\[(\d+)\])?")


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


@attrs.frozen
class Member:
    """A field of a structure.

    :param name: ``None`` for the anonymous union of RKLLMInput.
    :param offset: in bytes, from the start of the structure that holds it.
    :param size: in bytes.
    """

    name: str | None
    type: CType
    offset: int
    size: int


@attrs.frozen(cache_hash=True)
class Struct:
    """A structure or a union.

    :param name: as in rkllm.h. A structure without a name there is named after its place, e.g.
        ``RKLLMMultiModalInput.image``.
    :param size: in bytes.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    is_union: bool = False


@attrs.frozen
class Parameter:
    """A parameter of a function."""

    name: str
    type: CType


@attrs.frozen
class Function:
    """A function, or the type of a callback."""

    name: str
    returns: CType
    parameters: tuple[Parameter, ...]


@attrs.frozen
class Release:
    """One layout and the releases that have it.

    :param name: the layout's name, e.g. ``1.2.1``: one of the keys of :func:`releases`.
    :param covers: every release with this layout.
    """

    name: str
    covers: tuple[str, ...]
    structs: Mapping[str, Struct] = attrs.field(repr=False)
    enums: Mapping[str, Mapping[str, int]] = attrs.field(repr=False)
    functions: Mapping[str, Function] = attrs.field(repr=False)
    callbacks: Mapping[str, Function] = attrs.field(repr=False)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def can_pause(self) -> bool:
        """True if a callback can pause its run: it returns a number (since rkllm.h 1.2.1)."""
        return self.callbacks["LLMResultCallback"].returns.base == "int"

    def sort_of(self, kind: CType) -> str:
        """Return the sort of a type, which selects its conversion.

        :returns: ``string``, ``array`` (inside the structure), ``structure``, ``numbers`` (a
            pointer to them), ``pointer`` (to a structure, or opaque), ``enum``, or the scalar
            itself: ``bool``, ``float``, ``integer``.
        """
        if kind.is_string:
            return "string"
        if kind.length is not None:
            return "array"
        if kind.pointer:
            return "numbers" if kind.base in _NUMBERS else "pointer"
        if kind.base in self.structs:
            return "structure"
        if kind.base in self.enums:
            return "enum"
        return kind.base if kind.base in {"bool", "float"} else "integer"


def parse_type(declared: str) -> CType:
    """Parse a C declaration without the name.

    >>> parse_type("const float *")
    CType(base='float', pointer=True, length=None)
    """
    match = _TYPE.fullmatch(declared)
    assert match is not None, declared
    base, star, length = match.groups()
    return CType(base, bool(star), int(length) if length else None)


def _parse_parameter(declared: str) -> Parameter:
    kind, _, name = declared.rpartition(" ")
    return Parameter(name, parse_type(kind))


def _parse_function(name: str, entry: Mapping[str, Any]) -> Function:
    parameters = tuple(map(_parse_parameter, entry["parameters"]))
    return Function(name, parse_type(entry["returns"]), parameters)


def _parse_struct(name: str, entry: Mapping[str, Any], base: int = 0) -> Iterator[Struct]:
    """Yield the structures that are declared inside a structure, then the structure itself."""
    members = []
    for member in entry["members"]:
        kind = parse_type(member["type"])
        if "members" in member:
            kind = CType(f"{name}.{member['name'] or member['type']}")
            yield from _parse_struct(kind.base, member, member["offset"])
        members.append(Member(member["name"], kind, member["offset"] - base, member["size"]))
    yield Struct(name, entry["size"], tuple(members), entry.get("type") == "union")


def _parse_release(name: str, entry: Mapping[str, Any]) -> Release:
    return Release(
        name=name,
        covers=COVERS[name],
        structs={
            struct.name: struct
            for struct_name, struct_entry in entry["structs"].items()
            for struct in _parse_struct(struct_name, struct_entry)
        },
        enums=entry["enums"],
        functions={f: _parse_function(f, e) for f, e in entry["functions"].items()},
        callbacks={f: _parse_function(f, e) for f, e in entry["callbacks"].items()},
    )


@functools.cache
def releases() -> Mapping[str, Release]:
    """Return every layout by name, oldest first. The first call reads the JSON."""
    table = json.loads(Path(__file__).with_name("rkllm-abi.json").read_text("utf-8"))
    return {name: _parse_release(name, entry) for name, entry in table["releases"].items()}


def release_for(version: str) -> Release:
    """Return the layout of a release of the runtime.

    :param version: e.g. ``1.2.3``.
    :raises LibraryError: the release is unknown; the text names the known ones.
    """
    for release in releases().values():
        if version in release.covers:
            return release
    known = ", ".join(known for covers in COVERS.values() for known in covers)
    raise LibraryError(
        f"The layout of RKLLM {version} is not known (known: {known}); if it has the layout of one"
        " of these, say so with --abi."
    )


def releases_with_function(function: str) -> tuple[str, ...]:
    """Return every release that has the function, oldest first."""
    return tuple(
        version
        for release in releases().values()
        if function in release.functions
        for version in release.covers
    )
