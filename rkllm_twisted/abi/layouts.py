"""Makes ctypes classes and prototypes of a :class:`~rkllm_twisted.abi.release.Release`.

ctypes lays out the fields; this module compares every size and offset with the table and raises
LibraryError if one differs. A wrong layout corrupts memory.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from rkllm_twisted.abi.declarations import CType, Function
from rkllm_twisted.abi.release import Release, Struct
from rkllm_twisted.errors import LibraryError

#: A class or prototype of ctypes; the types of ctypes itself are too vague to use here.
CData: TypeAlias = Any

#: The scalars of rkllm.h. An enum is an ``int``; a handle is a ``void *``.
SCALARS: Mapping[str, type[Any]] = {
    "bool": ctypes.c_bool,
    "float": ctypes.c_float,
    "int": ctypes.c_int,
    "int8_t": ctypes.c_int8,
    "int32_t": ctypes.c_int32,
    "size_t": ctypes.c_size_t,
    "uint8_t": ctypes.c_uint8,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "LLMHandle": ctypes.c_void_p,
}
_ENUM = ctypes.c_int
_ANONYMOUS = "_anonymous"


@attrs.frozen
class Layout:
    """The ctypes classes of a release.

    :param structs: name -> ctypes class.
    :param callbacks: name -> ctypes function type.
    """

    release: Release
    structs: Mapping[str, CData] = attrs.field(repr=False)
    callbacks: Mapping[str, CData] = attrs.field(repr=False)

    def __hash__(self) -> int:
        return hash(self.release)

    def resolve(self, kind: CType) -> CData:
        """Return the ctypes type for a type of rkllm.h."""
        if kind.is_string:
            return ctypes.c_char_p
        if kind.base == "void":
            return ctypes.c_void_p if kind.pointer else None
        target = self._base(kind.base)
        if kind.length is not None:
            return target * kind.length
        return ctypes.POINTER(target) if kind.pointer else target

    def _base(self, name: str) -> CData:
        if name in self.release.enums:
            return _ENUM
        for known in (SCALARS, self.structs, self.callbacks):
            if name in known:
                return known[name]
        raise LibraryError(f"The table of RKLLM {self.release.name} uses {name}, which is unknown.")

    def prototype(self, function: Function) -> CData:
        """Return the ctypes function type; ctypes releases the GIL while such a function runs."""
        parameters = (self.resolve(parameter.type) for parameter in function.parameters)
        return ctypes.CFUNCTYPE(self.resolve(function.returns), *parameters)


@functools.cache
def layout_of(release: Release) -> Layout:
    """Make the ctypes classes of a release and verify them against its table.

    :raises LibraryError: ctypes lays a structure out differently on this machine.
    """
    structs: dict[str, CData] = {}
    callbacks: dict[str, CData] = {}
    layout = Layout(release, structs, callbacks)
    plain, with_callbacks = _split(release)
    for struct in plain:
        structs[struct.name] = _make(layout, struct)
    for callback in release.callbacks.values():
        callbacks[callback.name] = layout.prototype(callback)
    for struct in with_callbacks:
        structs[struct.name] = _make(layout, struct)
    return layout


def _split(release: Release) -> tuple[list[Struct], list[Struct]]:
    """Divide structures into those without and with callbacks, in the order of the table."""
    halves: tuple[list[Struct], list[Struct]] = ([], [])
    for struct in release.structs.values():
        halves[any(m.type.base in release.callbacks for m in struct.members)].append(struct)
    return halves


def _make(layout: Layout, struct: Struct) -> CData:
    parent = ctypes.Union if struct.is_union else ctypes.Structure
    fields = [(member.name or _ANONYMOUS, layout.resolve(member.type)) for member in struct.members]
    body: dict[str, object] = {"_fields_": fields}
    if any(member.name is None for member in struct.members):
        body = {"_anonymous_": (_ANONYMOUS,), **body}
    made = type(struct.name, (parent,), body)
    _verify(layout, struct, made)
    return made


def _verify(layout: Layout, struct: Struct, made: CData) -> None:
    expected = {"its end": (struct.size, 0)}
    found = {"its end": (ctypes.sizeof(made), 0)}
    for member in struct.members:
        name = member.name or _ANONYMOUS
        field = getattr(made, name)
        expected[name] = (member.offset, member.size)
        found[name] = (field.offset, field.size)
    for name, place in expected.items():
        if found[name] != place:
            raise LibraryError(
                f"On this machine {name} of {struct.name} (RKLLM {layout.release.name}) lies at"
                f" byte {found[name][0]}, not {place[0]}: the runtime cannot be used safely."
            )
