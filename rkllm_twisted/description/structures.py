"""Describes the structures and enums of rkllm.h over several releases. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from rkllm_twisted.abi import struct_rules
from rkllm_twisted.abi.arguments import Signature
from rkllm_twisted.abi.declarations import CType
from rkllm_twisted.abi.release import Member, Release, Struct
from rkllm_twisted.abi.scalars import int_range
from rkllm_twisted.abi.to_c import fields_of
from rkllm_twisted.description.model import Default, Enum, EnumValue, Item, Origin, Structure, Type
from rkllm_twisted.description.notes import notes

#: Structures whose fields have other defaults than zero.
ORIGINS: Mapping[str, Origin] = {
    "RKLLMParam": Origin.LIBRARY,
    "RKLLMExtendParam": Origin.LIBRARY,
    "RKLLMSamplingParam": Origin.MODEL,
}
#: The sort of a type (:meth:`Release.sort_of`) -> the JSON types that fit.
_JSON: Mapping[str, tuple[str, ...]] = {
    "string": ("string",),
    "array": ("array",),
    "structure": ("object",),
    "numbers": ("array", "object"),
    "pointer": ("object",),
    "enum": ("integer", "string"),
    "bool": ("boolean",),
    "float": ("number",),
    "integer": ("integer",),
}
#: The sorts of fields that may be null: NULL in C, and null in place of a structure or an array
#: leaves it out. A structure in a result is always there.
_NULL_SENT = frozenset({"string", "numbers", "pointer", "array", "structure"})
_NULL_RECEIVED = _NULL_SENT - {"structure"}
#: The sort of a type -> the value of a field that is left out; null if the sort is missing here.
_ZEROS: Mapping[str, object] = {"enum": 0, "bool": False, "float": 0, "integer": 0}


@attrs.frozen
class Found:
    """An item, and the releases that have it."""

    item: Item
    releases: tuple[str, ...]


def covered(releases: Iterable[Release]) -> tuple[str, ...]:
    """Return the releases of the runtime that have one of the layouts."""
    return tuple(version for release in releases for version in release.covers)


def merged(found: Sequence[Found]) -> tuple[Item, ...]:
    """Join the same item of several releases into one item with all releases.

    The order is that of the newest release; items that it lacks come last.

    :param found: the oldest release first.
    """
    joined: dict[Item, tuple[str, ...]] = {}
    for releases in reversed(list(dict.fromkeys(one.releases for one in found))):
        for one in found:
            if one.releases == releases:
                joined[one.item] = releases + joined.get(one.item, ())
    return tuple(attrs.evolve(item, releases=releases) for item, releases in joined.items())


def type_of(release: Release, kind: CType) -> Type:
    """Describe a type of rkllm.h."""
    sort = release.sort_of(kind)
    known = Type(_JSON[sort], c=_declared(kind), length=kind.length)
    if sort in {"structure", "pointer", "enum"}:
        return attrs.evolve(known, of=kind.base)
    if sort == "numbers":
        return attrs.evolve(known, items="number" if kind.base == "float" else "integer")
    if sort == "array":
        return attrs.evolve(known, items="integer")
    if sort == "integer":
        least, greatest = int_range(kind.base)
        return attrs.evolve(known, least=least, greatest=greatest)
    return known


def _declared(kind: CType) -> str:
    star = " *" if kind.pointer else ""
    return f"{kind.base}{star}" + (f"[{kind.length}]" if kind.length is not None else "")


def structures_and_enums(
    releases: Sequence[Release],
) -> tuple[dict[str, Structure], dict[str, Enum]]:
    """Describe the structures and enums that clients send and receive, without those of C alone."""
    sent = set(_reached(releases, _sent_roots(releases)))
    received = set(_reached(releases, _received_roots(releases)))
    names = dict.fromkeys(name for release in releases for name in release.structs)
    structures = {
        name: _structure(releases, name, name in sent, name in received)
        for name in names
        if name in sent | received
    }
    enums = dict.fromkeys(name for release in releases for name in release.enums)
    return structures, {name: _enum(releases, name) for name in enums}


def _sent_roots(releases: Sequence[Release]) -> set[str]:
    return {
        parameter.type.base
        for release in releases
        for function in release.functions.values()
        for parameter in Signature.of(function).own
        if parameter.type.base in release.structs
    }


def _received_roots(releases: Sequence[Release]) -> set[str]:
    """Return the structures that functions return or write to, and that of the callback."""
    functions = [function for release in releases for function in release.functions.values()]
    written = {parameter.type.base for function in functions for parameter in function.outputs}
    return {"RKLLMResult", *written, *(function.returns.base for function in functions)}


def _reached(releases: Sequence[Release], roots: set[str]) -> Iterator[str]:
    """Return the names of the structures, and of those in them."""
    for release in releases:
        left = [name for name in roots if name in release.structs]
        while left:
            name = left.pop()
            yield name
            fields = fields_of(release, release.structs[name]).values()
            left += [f.type.base for f in fields if f.type.base in release.structs]


def _structure(releases: Sequence[Release], name: str, sent: bool, received: bool) -> Structure:
    having = [release for release in releases if name in release.structs]
    fields = [
        Found(_field(release, release.structs[name], member, sent), release.covers)
        for release in having
        for member in fields_of(release, release.structs[name]).values()
    ]
    about = notes().structure(name).about
    return Structure(name, about, merged(fields), covered(having), sent, received)


def _field(release: Release, struct: Struct, member: Member, sent: bool) -> Item:
    assert member.name is not None
    name = member.name
    note = notes().structure(struct.name).note(name)
    required = sent and name in struct_rules.REQUIRED.get(struct.name, ())
    length = next((r for r in struct_rules.LENGTHS.get(struct.name, ()) if r.array == name), None)
    return Item(
        name=name,
        type=_field_type(release, member.type, sent, required),
        meaning=note.meaning,
        unit=note.unit,
        default=_default(release, struct, member) if sent and not required else None,
        required=required,
        rows=length.counts if length else (),
        exact=bool(length and length.exact),
        chosen_by=_chosen_by(struct, name),
    )


def _field_type(release: Release, kind: CType, sent: bool, required: bool) -> Type:
    known = type_of(release, kind)
    nullable = release.sort_of(kind) in (_NULL_SENT if sent else _NULL_RECEIVED)
    return attrs.evolve(known, json=(*known.json, "null")) if nullable and not required else known


def _default(release: Release, struct: Struct, member: Member) -> Default:
    origin = ORIGINS.get(struct.name, Origin.VALUE)
    if origin is not Origin.VALUE:
        return Default(origin)
    return Default(origin, _ZEROS.get(release.sort_of(member.type)))


def _chosen_by(struct: Struct, name: str) -> str | None:
    if struct.name != "RKLLMInput":
        return None
    return next(
        (kind for kind, member in struct_rules.INPUT_MEMBERS.items() if member == name), None
    )


def _enum(releases: Sequence[Release], name: str) -> Enum:
    group = notes().enum(name)
    values: dict[tuple[str, int], tuple[str, ...]] = {}
    for release in releases:
        for value in release.enums.get(name, {}).items():
            values[value] = values.get(value, ()) + release.covers
    return Enum(
        name,
        group.about,
        tuple(
            EnumValue(value, number, group.note(value).meaning, having)
            for (value, number), having in values.items()
        ),
    )
