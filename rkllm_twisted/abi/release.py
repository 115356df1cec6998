"""Reads the C interface of librkllmrt, release by release, from ``rkllm-abi.json``.

The JSON has the facts of the vendor's ``rkllm.h`` (releases 1.1.x to 1.3.0, LP64): a row for each
function and an entry for each release. ``docs/develop/adding-a-release.md`` shows how to add one.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path  # importlib.resources takes 2 MB and 10 ms
from typing import Any

import attrs

from rkllm_twisted.abi.declarations import CType, Function, parse_function, parse_type
from rkllm_twisted.errors import LibraryError

#: The types X for which ``X *`` points to an array; other pointers point to a single X.
_NUMBERS = frozenset({"float", "int32_t", "int"})


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


@attrs.frozen(eq=False)
class Release:
    """One layout and the releases that have it.

    :param name: the layout's name, e.g. ``1.2.1``: one of the keys of :func:`releases`.
    :param covers: every release with this layout.
    :param keeps_arrays: True if the library keeps the arrays of a result until the callback returns
        that they may be released.
    :ivar known: every layout of the table, this one too, by name, oldest first.
    """

    name: str
    covers: tuple[str, ...]
    structs: Mapping[str, Struct] = attrs.field(repr=False)
    enums: Mapping[str, Mapping[str, int]] = attrs.field(repr=False)
    functions: Mapping[str, Function] = attrs.field(repr=False)
    callbacks: Mapping[str, Function] = attrs.field(repr=False)
    keeps_arrays: bool = False
    known: dict[str, Release] = attrs.field(init=False, factory=dict, repr=False)

    @property
    def can_pause(self) -> bool:
        """True if a callback can pause its run: it returns a number (since rkllm.h 1.2.1)."""
        return self.callbacks["LLMResultCallback"].returns.base == "int"

    def releases_where(self, holds: Callable[[Release], bool]) -> list[str]:
        """Return every release of the table for whose layout something holds, oldest first."""
        return [version for one in self.known.values() if holds(one) for version in one.covers]

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


def parse_table(table: Mapping[str, Any]) -> Mapping[str, Release]:
    """Return the layouts of a table in the form of ``rkllm-abi.json``, by name, oldest first."""
    entries, rows = table["releases"], table["functions"]
    known: dict[str, Release] = {}
    covers: dict[str, list[str]] = {}
    for version in entries:
        covers.setdefault(_layout_name(version, entries, rows), []).append(version)
    for name, versions in covers.items():
        entry = _complete(name, entries)
        known[name] = Release(
            name=name,
            covers=tuple(versions),
            structs={
                struct.name: struct
                for struct_name, struct_entry in entry["structs"].items()
                for struct in _parse_struct(struct_name, struct_entry)
            },
            enums=entry["enums"],
            functions={
                function: parse_function(declared, rows[function])
                for function, declared in _declared(name, entries, rows).items()
            },
            callbacks={
                callback: parse_function(declared, {})
                for callback, declared in entry["callbacks"].items()
            },
            keeps_arrays=entry.get("keeps_arrays", False),
        )
    for release in known.values():
        release.known.update(known)
    return known


def _layout_name(version: str, entries: Mapping[str, Any], rows: Mapping[str, Any]) -> str:
    """Return the release after which the layout of a release is named.

    That is another one if the release has the layout and the functions of that one.
    """
    like = entries[version].get("like")
    if entries[version].keys() != {"like"}:
        return version
    if _declared(version, entries, rows) != _declared(like, entries, rows):
        return version
    return _layout_name(like, entries, rows)


def _complete(version: str, entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry with what it takes from the release that it is like."""
    entry = entries[version]
    return {**_complete(entry["like"], entries), **entry} if "like" in entry else entry


def _declared(version: str, entries: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, str]:
    """Return the declarations of the functions that a release has, by name."""
    order = list(entries)
    until = order[: order.index(version) + 1]
    return {
        name: [text for since, text in row["declared"].items() if since in until][-1]
        for name, row in rows.items()
        if not row["declared"].keys().isdisjoint(until)
    }


@functools.cache
def releases() -> Mapping[str, Release]:
    """Return every layout by name, oldest first. The first call reads the JSON."""
    return parse_table(json.loads(Path(__file__).with_name("rkllm-abi.json").read_text("utf-8")))


def release_for(version: str, known: Mapping[str, Release] | None = None) -> Release:
    """Return the layout of a release of the runtime.

    :param version: e.g. ``1.2.3``.
    :param known: the layouts to choose from; by default those of :func:`releases`.
    :raises LibraryError: the release is unknown; the text names the known ones.
    """
    layouts = (releases() if known is None else known).values()
    for release in layouts:
        if version in release.covers:
            return release
    names = ", ".join(name for release in layouts for name in release.covers)
    raise LibraryError(
        f"The layout of RKLLM {version} is not known (known: {names}); if it has the layout of one"
        " of these, say so with --abi."
    )


def leaves_cache(function: str) -> bool:
    """True if a function leaves the KV cache as it is in every release; an unknown one may not."""
    declared = [one.functions[function] for one in releases().values() if function in one.functions]
    return bool(declared) and all(one.leaves_cache for one in declared)
