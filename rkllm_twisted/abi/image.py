"""Makes one block of memory of a call's arguments, for another process that calls C with them.

Everything that the arguments point to is copied into the block, and a list says where pointers are:
the other process adds its block's address there. It needs no layout for that. Pure.
"""

from __future__ import annotations

import ctypes
import functools
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TypeAlias

import attrs

from rkllm_twisted.abi.arrays import address_of
from rkllm_twisted.abi.declarations import Function, Parameter
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.release import Release

#: Bytes that are copied or sent.
Buffer: TypeAlias = "bytes | bytearray | memoryview"
#: The alignment of every object in the block, in bytes.
ALIGNMENT_BYTES = 16
#: A longer array is a segment of its own: it is sent from where it is.
LARGE_BYTES = 1 << 16
#: What a descriptor's path begins with; see :meth:`_Block.text`.
_PATH = re.compile(rb"/proc/self/fd/(\d+)(?=/|$)")
#: The bytes that the number of a descriptor may take. A path may have any number of slashes.
NUMBER_BYTES = 10
_POINTER_BYTES = ctypes.sizeof(ctypes.c_void_p)


class ArgumentPlace(IntEnum):
    """What an argument or a pointer inside the block is. The numbers are known to the host in C."""

    #: The number itself.
    VALUE = 0
    #: The address of the block, plus an offset.
    BLOCK = 1
    #: The handle of the loaded model.
    HANDLE = 2
    #: The address of the handle.
    HANDLE_ADDRESS = 3
    #: The function that takes results.
    CALLBACK = 4
    #: The number of a descriptor, as text; it is right-aligned in :data:`NUMBER_BYTES`.
    DESCRIPTOR = 5


@attrs.frozen
class Argument:
    """An argument of a call; ``value`` is the number, or the offset in the block."""

    place: ArgumentPlace
    value: int = 0


@attrs.frozen
class Relocation:
    """A pointer in the block.

    :param at: its offset.
    :param value: the offset that it points to; the index of a descriptor.
    """

    place: ArgumentPlace
    at: int
    value: int = 0


@attrs.frozen
class CallImage:
    """The arguments of a call, and the memory that they point to.

    :param segments: the block, in parts.
    :param outputs: the offset in the block from which C's outputs are.
    :param descriptors: those of this process that a path in the block names.
    """

    arguments: tuple[Argument, ...]
    relocations: tuple[Relocation, ...]
    segments: tuple[Buffer, ...] = attrs.field(repr=False)
    size: int
    outputs: int
    descriptors: tuple[int, ...] = ()


def image_of(
    layout: Layout,
    function: Function,
    values: Sequence[CData],
    alive: Iterable[object] = (),
    descriptors: Sequence[int] = (),
) -> CallImage:
    """Make the image of a call.

    :param values: the arguments as ctypes takes them, in C's order.
    :param alive: every buffer that a structure among them points to. A pointer to anything else
        stays as it is: it is the rest of a union's other member.
    :param descriptors: the descriptors that paths may name.
    """
    block = _Block(layout, alive, descriptors)
    pairs = list(zip(function.parameters, values, strict=True))
    made = {p.name: block.argument(p, value) for p, value in pairs if not p.output}
    outputs = block.end()
    made.update(
        (p.name, Argument(ArgumentPlace.BLOCK, block.add(bytes(value))))
        for p, value in pairs
        if p.output
    )
    return CallImage(
        tuple(made[parameter.name] for parameter in function.parameters),
        tuple(block.relocations),
        tuple(block.segments),
        block.size,
        outputs,
        tuple(descriptors),
    )


class _Block:
    """The block while it grows."""

    def __init__(self, layout: Layout, alive: Iterable[object], descriptors: Sequence[int]) -> None:
        self.relocations: list[Relocation] = []
        self.segments: list[Buffer] = []
        self.size = 0
        self._layout = layout
        self._known = dict(_addresses(alive))
        self._offsets: dict[int, int] = {}
        self._descriptors = list(descriptors)

    def argument(self, parameter: Parameter, value: CData) -> Argument:
        """Add what an argument points to."""
        kind = parameter.type
        if kind.base == "LLMHandle":
            return Argument(ArgumentPlace.HANDLE_ADDRESS if kind.pointer else ArgumentPlace.HANDLE)
        if kind.base in self._layout.callbacks:
            return Argument(ArgumentPlace.CALLBACK)
        if value is None:
            return Argument(ArgumentPlace.VALUE, 0)
        if isinstance(value, int):
            return Argument(ArgumentPlace.VALUE, value & (2**64 - 1))
        if isinstance(value, bytes):
            return Argument(ArgumentPlace.BLOCK, self.text(value))
        if isinstance(value, (ctypes.Structure, ctypes.Array)):
            return Argument(ArgumentPlace.BLOCK, self.structures(value))
        address = ctypes.cast(value, ctypes.c_void_p).value
        if address is None:
            return Argument(ArgumentPlace.VALUE, 0)
        if address not in self._known:
            return Argument(ArgumentPlace.BLOCK, self.structures(value.contents))
        return Argument(ArgumentPlace.BLOCK, self._object(address))

    def end(self) -> int:
        """Return the offset of what is added next."""
        self._pad()
        return self.size

    def add(self, data: Buffer) -> int:
        """Add bytes and return their offset."""
        self._pad()
        offset = self.size
        self._append(memoryview(data).cast("B"))
        return offset

    def text(self, text: bytes) -> int:
        """Add a text. The other process writes its own number of a descriptor into a path."""
        found = _PATH.match(text)
        number = int(found[1]) if found else -1
        if found is None or number not in self._descriptors:
            return self.add(text + b"\0")
        start, rest = text[: found.start(1)], text[found.end() :]
        offset = self.add(start + b"/" * NUMBER_BYTES + rest + b"\0")
        index = self._descriptors.index(number)
        self.relocations.append(Relocation(ArgumentPlace.DESCRIPTOR, offset + len(start), index))
        return offset

    def structures(self, value: CData) -> int:
        """Add a structure, or an array of structures, with all that it points to."""
        is_array = isinstance(value, ctypes.Array)
        made = value._type_ if is_array else type(value)
        raw = bytes(value)
        offset = self.add(raw)
        struct = self._layout.release.structs.get(made.__name__)
        if struct is None:  # numbers
            return offset
        for start in range(0, len(raw), struct.size):
            for at, place in pointers_of(self._layout.release, struct.name):
                self._pointer(raw, start + at, offset, place)
        return offset

    def _pointer(self, raw: bytes, at: int, offset: int, place: ArgumentPlace) -> None:
        if place is ArgumentPlace.CALLBACK:
            self.relocations.append(Relocation(place, offset + at))
            return
        address = int.from_bytes(raw[at : at + _POINTER_BYTES], "little")
        if address in self._known:
            self.relocations.append(Relocation(place, offset + at, self._object(address)))

    def _object(self, address: int) -> int:
        """Add what lies at a known address, once."""
        if address not in self._offsets:
            self._offsets[address] = self._add_object(self._known[address])
        return self._offsets[address]

    def _add_object(self, value: CData) -> int:
        if isinstance(value, ctypes.Structure):
            return self.structures(value)
        return self.text(value) if isinstance(value, bytes) else self.add(value)

    def _pad(self) -> None:
        self._append(bytes(-self.size % ALIGNMENT_BYTES))

    def _append(self, data: Buffer) -> None:
        self.size += len(data)
        if len(data) >= LARGE_BYTES:
            self.segments.append(data)
        elif self.segments and isinstance(self.segments[-1], bytearray):
            self.segments[-1] += data
        elif len(data):
            self.segments.append(bytearray(data))


def _addresses(alive: Iterable[object]) -> Iterator[tuple[int, object]]:
    """Yield the buffers with their addresses."""
    for value in alive:
        if isinstance(value, bytes):
            yield ctypes.cast(ctypes.c_char_p(value), ctypes.c_void_p).value or 0, value
        elif isinstance(value, ctypes.Structure):
            yield ctypes.addressof(value), value
        elif isinstance(value, (array, memoryview)) and len(value):
            yield address_of(value), value


@functools.cache
def pointers_of(release: Release, name: str) -> tuple[tuple[int, ArgumentPlace], ...]:
    """Return the offsets of a structure's pointers, those of its members included, each once."""
    found: Mapping[int, ArgumentPlace] = dict(_pointers(release, name, 0))
    return tuple(sorted(found.items()))


def _pointers(release: Release, name: str, start: int) -> Iterator[tuple[int, ArgumentPlace]]:
    for member in release.structs[name].members:
        at, kind = start + member.offset, member.type
        if kind.base in release.callbacks:
            if kind.base == "LLMResultCallback":
                yield at, ArgumentPlace.CALLBACK
        elif kind.pointer:
            yield at, ArgumentPlace.BLOCK
        elif kind.base in release.structs:
            yield from _pointers(release, kind.base, at)
