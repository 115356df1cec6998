"""What the host in Python keeps of a call: its memory, and copies of its results."""

from __future__ import annotations

import ctypes
import sys
import threading

import attrs

from rkllm_twisted.abi.image import CallImage
from rkllm_twisted.abi.result_copy import ResultCopy
from rkllm_twisted.isolation.frames import MAX_BODY_BYTES, CallFrame


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

    def copy(self, address: int) -> ResultCopy:
        """Copy a result and what it points to."""
        structure = ctypes.string_at(address, self.size)
        text = _pointer(structure, self.text)
        return ResultCopy(
            structure,
            ctypes.string_at(text) if text else None,
            (
                _array(structure, self.hidden_states, self.hidden_counts),
                _array(structure, self.logits, self.logits_counts),
            ),
        )

    def has_arrays(self, structure: bytes) -> bool:
        """True if a result points to hidden states or logits."""
        places = (self.hidden_states, self.logits)
        return any(place and _pointer(structure, place) for place in places)


def _pointer(structure: bytes, at: int) -> int:
    return int.from_bytes(structure[at : at + 8], sys.byteorder)


def _array(structure: bytes, at: int, counts: int) -> bytes:
    address = _pointer(structure, at) if at else 0
    if not address:
        return b""
    rows, columns = memoryview(structure)[counts : counts + 8].cast("i")
    size = 4 * rows * columns
    if rows <= 0 or columns <= 0 or size > MAX_BODY_BYTES // 2:
        return b""
    return ctypes.string_at(address, size)


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
