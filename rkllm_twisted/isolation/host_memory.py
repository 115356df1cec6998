"""What the host in Python keeps of a call: its memory, and copies of its results."""

from __future__ import annotations

import ctypes
import struct
import sys
import threading

import attrs

from rkllm_twisted.abi.image import CallImage
from rkllm_twisted.abi.result_copy import ResultCopy
from rkllm_twisted.isolation.frames import CALLBACK, MAX_BODY_BYTES, ROW, CallFrame

_NULL = bytes(8)


@attrs.frozen
class ResultLayout:
    """What is known of an RKLLMResult; see :class:`~rkllm_twisted.abi.result_copy.ResultOffsets`.

    :param returns_int: True if the callback returns a number.
    :param keeps_arrays: True if the library keeps arrays until the callback releases them.
    """

    text: int
    hidden_states: int
    hidden_counts: int
    logits: int
    logits_counts: int
    size: int
    returns_int: int
    keeps_arrays: int

    def copies(self, address: int, rows: int) -> tuple[ResultCopy, ...]:
        """Copy results that follow each other, and what they point to.

        Arrays that do not fit into a frame are left out: the daemon then says so.
        """
        if rows == 1:
            structure = ctypes.string_at(address, self.size)
            if not self.has_arrays(structure):
                return (ResultCopy(structure, self._text(structure)),)
        structures = [ctypes.string_at(address + i * self.size, self.size) for i in range(rows)]
        texts = [self._text(structure) for structure in structures]
        room = MAX_BODY_BYTES - CALLBACK.size - rows * (ROW.size + self.size)
        room -= sum(len(text) for text in texts if text)
        made = []
        for structure, text in zip(structures, texts, strict=True):
            arrays = self._arrays(structure, room)
            room -= sum(map(len, arrays))
            made.append(ResultCopy(structure, text, arrays))
        return tuple(made)

    def has_arrays(self, structure: bytes) -> bool:
        """True if a result points to hidden states or logits."""
        hidden, logits = self.hidden_states, self.logits
        return bool(
            (hidden and structure[hidden : hidden + 8] != _NULL)
            or (logits and structure[logits : logits + 8] != _NULL)
        )

    def _text(self, structure: bytes) -> bytes | None:
        address = _pointer(structure, self.text)
        return ctypes.string_at(address) if address else None

    def _arrays(self, structure: bytes, room: int) -> tuple[bytes, bytes]:
        hidden = _array_at(structure, self.hidden_states, self.hidden_counts)
        logits = _array_at(structure, self.logits, self.logits_counts)
        if hidden[1] + logits[1] > room:
            return b"", b""
        return ctypes.string_at(*hidden), ctypes.string_at(*logits)


def _pointer(structure: bytes, at: int) -> int:
    return int.from_bytes(structure[at : at + 8], sys.byteorder)


def _array_at(structure: bytes, at: int, counts: int) -> tuple[int, int]:
    """Return the address of an array and its bytes; 0 and 0 if there is none."""
    address = _pointer(structure, at) if at else 0
    rows, columns = struct.unpack_from("=2i", structure, counts)
    if not address or rows <= 0 or columns <= 0:
        return 0, 0
    return address, 4 * rows * columns


@attrs.define(eq=False)
class HostCall:
    """A call that was asked for.

    :param descriptors: fewer than the frame has if the kernel has left out some.
    :ivar began: True once it is in C.
    """

    frame: CallFrame
    descriptors: tuple[int, ...] = ()
    began: bool = False
    aborted: bool = False
    pausing: bool = False
    called_back: bool = False
    ended: threading.Event = attrs.field(factory=threading.Event)

    @property
    def lacks_descriptors(self) -> bool:
        """True if there was no room for all of its descriptors."""
        return len(self.descriptors) < len(self.frame.image.descriptors)


class CallMemory:
    """The memory of a call; C may read it after it has returned."""

    def __init__(self, image: CallImage) -> None:
        data = b"".join(image.segments)
        self._memory = (ctypes.c_char * max(1, image.size)).from_buffer_copy(data or b"\0")
        self._view = memoryview(self._memory).cast("B")
        self.address = ctypes.addressof(self._memory)

    def put(self, at: int, data: bytes) -> None:
        """Write bytes."""
        self._view[at : at + len(data)] = data

    def tail(self, start: int, size: int) -> bytes:
        """Return the bytes of C's outputs."""
        return bytes(self._view[start:size])
