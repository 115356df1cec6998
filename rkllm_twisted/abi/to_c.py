"""Makes structures of rkllm.h from JSON objects, field by field after the release's table.

A field that is left out keeps its default: the library's own in an RKLLMParam, zero elsewhere.
The :class:`ArgumentBuilder` keeps alive everything that a structure points to.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping

import attrs

from rkllm_twisted.abi import struct_rules
from rkllm_twisted.abi.arrays import address_of, to_array
from rkllm_twisted.abi.declarations import CType
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.release import Member, Release, Struct
from rkllm_twisted.abi.scalars import (
    kind_of,
    param_error,
    to_bool,
    to_enum,
    to_float,
    to_int,
    to_string,
)


@attrs.frozen
class FileParameter:
    """A file that C opens.

    :param path: the place of the name in the request, e.g. ``param.model_path``.
    :param name: the file's name, as the client sent it.
    :param exists: True if the file must exist already; False if C writes it.
    :param holder: the structure that holds the name; None if the name is an argument itself.
    """

    path: str
    name: str
    exists: bool = True
    holder: CData | None = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen
class Embeddings:
    """An array of embeddings; the daemon compares it with the model's width before the call.

    :param path: the place of the array in the request.
    :param size: its number of elements.
    :param rows: the number of tokens that it is for.
    """

    path: str
    size: int
    rows: int
    rule: struct_rules.ArrayLength

    def check(self, width: int) -> None:
        """Compare the size with the width of the loaded model's embeddings.

        :raises InvalidParams: C would read beyond the end, or not all; the text has both numbers.
        """
        due = self.rows * width
        if self.size == due or (self.rule.widths is None and self.size % due == 0):
            return
        words = f"{' * '.join(self.rule.counts)} * {width} = {due}"
        what = f"has {self.size} elements, but the loaded model's embeddings are {width} wide"
        raise param_error(self.path, f"{what}: {words}")


@attrs.frozen(eq=False)
class DefaultsToFill:
    """A structure with some fields from the client; the daemon fills the others before the call."""

    structure: CData
    left_out: tuple[str, ...]


@attrs.frozen(eq=False)
class ArgumentBuilder:
    """Builds the arguments of one call.

    :param alive: every buffer that C reads; they must live as long as the call.
    :param files: every file that C opens.
    :param partials: every RKLLMSamplingParam.
    :param embeddings: every array of embeddings.
    """

    layout: Layout
    alive: list[object] = attrs.field(factory=list)
    files: list[FileParameter] = attrs.field(factory=list)
    partials: list[DefaultsToFill] = attrs.field(factory=list)
    embeddings: list[Embeddings] = attrs.field(factory=list)

    def structure(self, name: str, path: str, value: object, start: bytes | None = None) -> CData:
        """Make a structure.

        :param name: e.g. ``RKLLMInput``.
        :param path: the place of the value in the request.
        :param start: the structure's bytes before the fields are set; zeros if ``None``.
        :raises InvalidParams: a field is wrong; the text names it.
        """
        made = self.layout.structs[name]
        target = made() if start is None else made.from_buffer_copy(start)
        self.alive.append(target)
        _fill(self, self.layout.release.structs[name], target, path, value)
        return target


@functools.cache
def fields_of(release: Release, struct: Struct) -> Mapping[str, Member]:
    """Return the fields of a structure by name, with those of its anonymous union."""
    fields: dict[str, Member] = {}
    for member in struct.members:
        if member.name is None:
            fields.update(fields_of(release, release.structs[member.type.base]))
        else:
            fields[member.name] = member
    return fields


def _fill(call: ArgumentBuilder, struct: Struct, target: CData, path: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise param_error(path, f"must be an object with the fields of {struct.name}")
    release = call.layout.release
    fields = fields_of(release, struct)
    given = struct_rules.reshape(release, struct, value)
    for name in given:
        if name not in fields:
            raise struct_rules.unknown_field(release, struct, f"{path}.{name}", name, list(fields))
    for name in struct_rules.REQUIRED.get(struct.name, ()):
        if given.get(name) is None:
            raise param_error(f"{path}.{name}", f"is missing; {struct.name} needs it")
    sizes = {
        name: _set_field(call, target, fields[name], f"{path}.{name}", item)
        for name, item in given.items()
        # A null would overwrite the member that is set: the union's members share their bytes.
        if item is not None or fields[name] in struct.members
    }
    _check(call, struct, target, path, given, sizes)


def _check(
    call: ArgumentBuilder,
    struct: Struct,
    target: CData,
    path: str,
    given: Mapping[str, object],
    sizes: Mapping[str, int | None],
) -> None:
    """Apply the rules that concern several fields."""
    if struct.name == "RKLLMInput":
        struct_rules.check_union(call.layout.release, target.input_type, path, given)
        struct_rules.check_role(f"{path}.role", given.get("role"))
    if struct.name == "RKLLMSamplingParam":
        left_out = [name for name in fields_of(call.layout.release, struct) if name not in given]
        call.partials.append(DefaultsToFill(target, tuple(left_out)))
    for rule in struct_rules.LENGTHS.get(struct.name, ()):
        rule.check(path, target, sizes)
        if rule.widths != 0 and (size := sizes.get(rule.array)):
            embeddings = Embeddings(f"{path}.{rule.array}", size, rule.rows(target), rule)
            call.embeddings.append(embeddings)
    for name in filter(struct_rules.names_file, given):
        if given[name] is not None:
            exists = struct.name != "RKLLMPromptCacheParam"
            call.files.append(FileParameter(f"{path}.{name}", str(given[name]), exists, target))


def _set_field(
    call: ArgumentBuilder, target: CData, member: Member, path: str, value: object
) -> int | None:
    """Convert one value and set its field; return the number of elements of an array."""
    assert member.name is not None
    sort = call.layout.release.sort_of(member.type)
    if sort == "structure":
        # Null: the structure is left out.
        if value is not None:
            struct = call.layout.release.structs[member.type.base]
            _fill(call, struct, getattr(target, member.name), path, value)
        return None
    if sort == "array" and value is None:
        return None
    converted, size = convert(call, member.type, path, value)
    setattr(target, member.name, converted)
    return size


def convert(
    call: ArgumentBuilder, kind: CType, path: str, value: object
) -> tuple[CData, int | None]:
    """Convert one value for a field or an argument of a type.

    :returns: the ctypes value, and for an array the number of elements; else None.
    :raises InvalidParams: the value does not fit; the text names the path.
    """
    sort = call.layout.release.sort_of(kind)
    if value is None and kind.pointer:
        return None, None
    if sort == "numbers":
        numbers = to_array(path, value, kind.base)
        call.alive.append(numbers)
        return ctypes.cast(address_of(numbers), call.layout.resolve(kind)), len(numbers)
    return _CONVERTERS[sort](call, kind, path, value), None


def _string(call: ArgumentBuilder, _kind: CType, path: str, value: object) -> bytes:
    text = to_string(path, value)
    call.alive.append(text)
    return text


def _pointer(call: ArgumentBuilder, kind: CType, path: str, value: object) -> CData:
    return ctypes.pointer(call.structure(kind.base, path, value))


def _array(call: ArgumentBuilder, kind: CType, path: str, value: object) -> CData:
    if not isinstance(value, list) or len(value) != kind.length:
        what = f"must be null or an array of {kind.length} whole numbers, not {kind_of(value)}"
        raise param_error(path, what)
    items = (to_int(f"{path}[{i}]", item, kind.base) for i, item in enumerate(value))
    return call.layout.resolve(kind)(*items)


def _enum(call: ArgumentBuilder, kind: CType, path: str, value: object) -> int:
    return to_enum(path, value, call.layout.release.enums[kind.base])


#: The sort of a type (:meth:`Release.sort_of`) -> the function that makes a C value of it.
_CONVERTERS: Mapping[str, Callable[[ArgumentBuilder, CType, str, object], CData]] = {
    "string": _string,
    "pointer": _pointer,
    "array": _array,
    "enum": _enum,
    "bool": lambda _call, _kind, path, value: to_bool(path, value),
    "float": lambda _call, _kind, path, value: to_float(path, value),
    "integer": lambda _call, kind, path, value: to_int(path, value, kind.base),
}
