"""Memory with a call's image in it, as a host has it."""

from __future__ import annotations

import ctypes
from typing import Any

import attrs

from rkllm_twisted.abi.image import NUMBER_BYTES, ArgumentPlace, CallImage


@attrs.define
class ImageMemory:
    """An image at an address of this process.

    :param handle: the value of the handle.
    :param callback: the address of the callback.
    """

    image: CallImage
    handle: ctypes.c_void_p = attrs.field(factory=ctypes.c_void_p)
    callback: int = 0
    memory: Any = None

    def __attrs_post_init__(self) -> None:
        data = b"".join(bytes(segment) for segment in self.image.segments)
        assert len(data) == self.image.size
        self.memory = (ctypes.c_char * (len(data) + 16)).from_buffer_copy(data + bytes(16))
        view = memoryview(self.memory).cast("B")
        for one in self.image.relocations:
            if one.place is ArgumentPlace.DESCRIPTOR:
                number = str(self.image.descriptors[one.value]).encode()
                view[one.at : one.at + NUMBER_BYTES] = number.rjust(NUMBER_BYTES, b"/")
            else:
                address = self.value(one.place, one.value)
                view[one.at : one.at + 8] = address.to_bytes(8, "little")

    def value(self, place: ArgumentPlace, value: int) -> int:
        """The number that stands for a place."""
        return {
            ArgumentPlace.VALUE: value,
            ArgumentPlace.BLOCK: ctypes.addressof(self.memory) + value,
            ArgumentPlace.HANDLE: self.handle.value or 0,
            ArgumentPlace.HANDLE_ADDRESS: ctypes.addressof(self.handle),
            ArgumentPlace.CALLBACK: self.callback,
        }[place]

    def call(self, native: Any, function: str) -> int:
        """Call a function of a library with the image's arguments."""
        values = [self.value(one.place, one.value) for one in self.image.arguments]
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint64] * len(values))
        return int(prototype((function, native))(*values))

    def outputs(self) -> bytes:
        """What C has written."""
        return bytes(self.memory)[self.image.outputs : self.image.size]
