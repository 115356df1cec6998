"""Makes rkllm_twisted/client_core/fields.py: the structures of rkllm.h as types for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rkllm_twisted.abi.declarations import CType
from rkllm_twisted.abi.release import Release, Struct

HEAD = '''\
"""The fields of rkllm.h's structures, of every release, as types for the clients' parameters.

Made by docs/generate.py from rkllm-abi.json; do not edit. A field that is None is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from rkllm_twisted.values import FloatArray

    #: Floats as numbers, as rows of numbers, as bytes with a shape, or as base64.
    Floats = FloatArray | Sequence[float] | Sequence[Sequence[float]] | Mapping[str, Any]
'''
#: What clients send; the structures inside these are found by their types.
ROOTS = ("RKLLMParam", "RKLLMInput", "RKLLMInferParam", "RKLLMLoraAdapter", "RKLLMCrossAttnParam")
#: Fields that a client's function has as a parameter.
OWN_PARAMETERS = {"RKLLMParam": {"model_path"}}
FLOATS = {"float", "double"}


def render(releases: Mapping[str, Release]) -> str:
    """Return the module's text."""
    kinds: dict[str, dict[str, str]] = {}
    for release in releases.values():
        for root in ROOTS:
            if root in release.structs:
                _collect(release, release.structs[root], kinds)
    classes = [_class(name, fields) for name, fields in kinds.items()]
    return "\n\n".join([HEAD, *classes])


def _collect(release: Release, struct: Struct, kinds: dict[str, dict[str, str]]) -> None:
    fields: dict[str, str] = {}
    for name, kind in _members(release, struct):
        inner = release.structs.get(kind.base)
        if inner is not None:
            _collect(release, inner, kinds)
        fields[name] = _type(release, kind)
    known = kinds.setdefault(_name(struct.name), {})
    for name, text in fields.items():  # a field may change its type between releases
        kinds_so_far = known.get(name, text).split(" | ")
        known[name] = " | ".join(dict.fromkeys([*kinds_so_far, *text.split(" | ")]))


def _members(release: Release, struct: Struct) -> Iterator[tuple[str, CType]]:
    for member in struct.members:
        if member.name is None:
            yield from _members(release, release.structs[member.type.base])
        elif member.name != "reserved":
            yield member.name, member.type


def _name(struct: str) -> str:
    first, _, part = struct.partition(".")
    return first + part.capitalize()


def _type(release: Release, kind: CType) -> str:
    if kind.is_string:
        return "str"
    if kind.base in release.structs:
        return _name(kind.base)
    if kind.base in release.enums:
        return "int | str"
    number = "float" if kind.base in FLOATS else "bool" if kind.base == "bool" else "int"
    if not kind.pointer:
        return number
    return "Floats" if number == "float" else "Sequence[int]"


def _class(name: str, fields: Mapping[str, str]) -> str:
    own = OWN_PARAMETERS.get(name, set())
    lines = [f"    {field}: {kind} | None" for field, kind in fields.items() if field not in own]
    if not own:
        head = [f"class {name}(TypedDict, total=False):", f'    """{name} of rkllm.h."""', ""]
        return "\n".join([*head, *lines, ""])
    rest = [f"    {field}: {kind}" for field, kind in fields.items() if field in own]
    return "\n".join(
        [
            f"class {name}Fields(TypedDict, total=False):",
            f'    """{name} of rkllm.h, without what a client\'s function has as a parameter."""',
            "",
            *lines,
            "",
            "",
            f"class {name}({name}Fields, total=False):",
            f'    """{name} of rkllm.h."""',
            "",
            *rest,
            "",
        ]
    )
