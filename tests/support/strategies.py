"""Hypothesis strategies for the JSON of every structure, made from the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from rkllm_twisted.abi.declarations import CType
from rkllm_twisted.abi.release import Member, Release, Struct, releases
from rkllm_twisted.abi.scalars import int_range
from rkllm_twisted.abi.struct_rules import INPUT_MEMBERS, LENGTHS, REQUIRED, ROLES

#: The length of a row, where a structure says only how many rows there are.
WIDTH = 3
#: Structures that clients cannot send.
NOT_SENT = {"RKLLMCallback"}

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
#: The sort of a type -> values that are wrong for it wherever it stands.
WRONG: Mapping[str, list[Any]] = {
    "string": [5, True, "half\0", "\ud800", ["x"], {}],
    "integer": [1.5, "1", None, [], 1 << 70, -(1 << 70)],
    "float": ["0.5", True, None, [], math.inf, math.nan, 1e39, -1e39, 10**400],
    "bool": [2, -1, 1.0, "true", None],
    "enum": [99, -1, 1.0, True, "RKLLM_NOTHING", None, []],
    "structure": [5, "x", [], True],
    "pointer": [5, "x", [], True],
    "numbers": [5, "x", True, ["x"], [None], [True], [10**400], {}, {"base64": ""}],
    "array": [5, "x", [1], {}],
}


def struct_names(release: Release) -> list[str]:
    """The structures that a value can be made for."""
    return [name for name, s in release.structs.items() if name not in NOT_SENT and not s.is_union]


CASES = [(release, name) for release in releases().values() for name in struct_names(release)]
CASE_IDS = [f"{release.name}-{name}" for release, name in CASES]


def structures(release: Release, struct: Struct) -> SearchStrategy[dict[str, Any]]:
    """Return a strategy for an object with every field of a structure."""

    # Not an argument of the strategy: Hypothesis prints those, and a release is too long for it.
    @st.composite
    def drawn(draw: DrawFn) -> dict[str, Any]:
        return _structure(draw, release, struct)

    return drawn()


def _structure(draw: DrawFn, release: Release, struct: Struct) -> dict[str, Any]:
    value: dict[str, Any] = {}
    counts = {count for rule in LENGTHS.get(struct.name, ()) for count in rule.counts}
    for member in struct.members:
        if member.name is None:
            value.update(_union(draw, release, member, value))
        elif member.name in counts:
            value[member.name] = draw(st.integers(1, 3))
        elif release.sort_of(member.type) != "numbers":
            value[member.name] = draw(_fields(release, struct, member))
    for member in struct.members:
        if release.sort_of(member.type) == "numbers" and member.name is not None:
            value[member.name] = draw(_numbers(struct, member.name, member.type, value))
    return value


def _union(draw: DrawFn, release: Release, member: Member, value: dict[str, Any]) -> dict[str, Any]:
    """Draw the member of the union that belongs to the input type already drawn."""
    types = release.enums["RKLLMInputType"]
    number = value["input_type"]
    chosen = next(INPUT_MEMBERS[name] for name in types if number in (name, types[name]))
    union = release.structs[member.type.base]
    inner = next(m for m in union.members if m.name == chosen)
    if release.sort_of(inner.type) == "string":
        return {chosen: draw(TEXTS)}
    return {chosen: draw(structures(release, release.structs[inner.type.base]))}


def _numbers(struct: Struct, name: str, kind: CType, value: dict[str, Any]) -> SearchStrategy[Any]:
    rule = next((rule for rule in LENGTHS.get(struct.name, ()) if rule.array == name), None)
    if rule is None:
        return st.none()
    length = math.prod(value.get(count, 1) for count in rule.counts)
    if not rule.exact:
        length *= WIDTH
    elements = FLOATS if kind.base == "float" else st.integers(*int_range(kind.base))
    return st.lists(elements, min_size=length, max_size=length)


def _fields(release: Release, struct: Struct, member: Member) -> SearchStrategy[Any]:
    sort, kind = release.sort_of(member.type), member.type
    if sort in {"structure", "pointer"}:
        inner = structures(release, release.structs[kind.base])
        return inner if sort == "structure" else st.none() | inner
    if member.name == "role":  # a drawn text may resemble a role, and is refused then
        return st.none() | st.sampled_from([*ROLES, "", "narrator"])
    if sort == "string":
        needed = member.name in REQUIRED.get(struct.name, ())
        return TEXTS if needed else st.none() | TEXTS
    if sort == "enum":
        names = release.enums[kind.base]
        return st.sampled_from([*names, *names.values()])
    return {
        "bool": st.booleans(),
        "float": FLOATS,
        "integer": st.integers(*int_range(kind.base)) if sort == "integer" else st.nothing(),
        "array": st.none() | st.binary(min_size=kind.length or 0, max_size=kind.length).map(list),
    }[sort]


def places(
    release: Release, struct: Struct, value: Mapping[str, Any], path: str = "x"
) -> list[tuple[str, str, dict[str, Any], str]]:
    """List the fields of a drawn value, those of inner structures too: path, sort, owner, name."""
    found = []
    members = [
        inner
        for member in struct.members
        for inner in ([member] if member.name else release.structs[member.type.base].members)
    ]
    for member in members:
        name = member.name or ""
        if value.get(name) is None and release.sort_of(member.type) != "pointer":
            continue
        sort = release.sort_of(member.type)
        found.append((f"{path}.{name}", sort, value, name))
        if isinstance(value.get(name), dict):
            inner_struct = release.structs[member.type.base]
            found += places(release, inner_struct, value[name], f"{path}.{name}")
    return found  # type: ignore[return-value]
