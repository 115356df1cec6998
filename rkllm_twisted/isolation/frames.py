"""The frames between the daemon and the program that calls C: a fixed header, then raw bytes.

All numbers have this machine's byte order. The daemon sends calls, aborts and pauses; the host
sends callbacks and returns. ``cpu_runtime/src/host/frames.h`` says the same in C. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

import attrs

from rkllm_twisted.abi.image import Argument, ArgumentPlace, Buffer, CallImage, Relocation
from rkllm_twisted.abi.result_copy import CallbackCopy

#: Changes with anything that this module says: a package may be replaced under a running daemon.
FRAMES_VERSION = 2


class FrameKind(IntEnum):
    """What a frame is."""

    CALL = 1
    ABORT = 2
    PAUSE = 3
    CALLBACK = 17
    RETURN = 18


#: kind, zero, number of the call, bytes of the body.
HEADER = struct.Struct("=IIQQ")
#: The userdata of a run, the numbers of arguments, relocations and descriptors, the size of the
#: block, the offset of its outputs, the rows of a result, flags, the function, the mark.
CALL = struct.Struct("=Q7I40s52s")
#: place, offset, value.
ENTRY = struct.Struct("=IIQ")
#: state, number of rows, userdata.
CALLBACK = struct.Struct("=iIQ")
#: The bytes of the text, of the hidden states and of the logits.
ROW = struct.Struct("=3Q")
#: The head of a token: HEADER, CALLBACK and ROW.
TOKEN = struct.Struct("=IIQQiIQ3Q")
_TOKEN_BYTES = CALLBACK.size + ROW.size
#: The status, and whether there is a handle. The outputs follow.
RETURN = struct.Struct("=iI")
#: The text is NULL.
NO_TEXT = 2**64 - 1
#: Bytes of a body: the embeddings of a prompt, with room to spare.
MAX_BODY_BYTES = 2**31 - 1
#: Bytes of a result's text: a token has a few, and the daemon takes many times a text's size.
MAX_TEXT_BYTES = 2**24
#: The most rows of a result (rkllm.h: n_batch is a uint8_t).
MAX_ROWS = 255
#: A flag of a call: it returns when the run that it has begun has ended.
AWAIT_END = 1


#: Frames of more bytes are not copied more than needed.
LARGE_BYTES = 2**16
#: A frame of more bytes takes memory only as they come: its header may be damaged.
MAX_AT_ONCE_BYTES = 2**24
#: The kind, the number and the body; of a large one, a view.
Frame = tuple[int, int, Buffer]


class BadFrame(ValueError):
    """The bytes are no frames of the host's: nothing that follows can be understood."""


@attrs.frozen
class CallFrame:
    """A call. The host makes it when those before it are done.

    :param mark: see :class:`~rkllm_twisted.isolation.marks.CallMarks`.
    :param rows: of a run: ``n_batch`` of the loaded model; 0: it is no run.
    :param userdata: of a run: what its callbacks bring. Those with another are of a former run.
    """

    number: int
    function: str
    image: CallImage
    mark: bytes = b""
    rows: int = 0
    flags: int = 0
    userdata: int = 0

    def encode(self) -> list[Buffer]:
        """Return the frame in parts; large arrays are not copied.

        :raises OverflowError: it is longer than a frame may be.
        """
        image = self.image
        entries = len(image.arguments) + len(image.relocations)
        size = CALL.size + ENTRY.size * entries + image.size
        if size > MAX_BODY_BYTES:
            raise OverflowError(f"a call of {size} bytes")
        head = bytearray(
            CALL.pack(
                self.userdata,
                len(image.arguments),
                len(image.relocations),
                len(image.descriptors),
                image.size,
                image.outputs,
                self.rows,
                self.flags,
                self.function.encode(),
                self.mark,
            )
        )
        for argument in image.arguments:
            head += ENTRY.pack(argument.place, 0, argument.value)
        for one in image.relocations:
            head += ENTRY.pack(one.place, one.at, one.value)
        return [HEADER.pack(FrameKind.CALL, 0, self.number, size) + head, *image.segments]

    @classmethod
    def decode(cls, number: int, body: Buffer) -> CallFrame:
        """Read a body.

        :raises BadFrame: it is none.
        """
        try:
            return cls._decode(number, body)
        except (ValueError, struct.error) as error:
            raise BadFrame(str(error)) from None

    @classmethod
    def _decode(cls, number: int, body: Buffer) -> CallFrame:
        userdata, n_arguments, n_relocations, n_descriptors, size, outputs, rows, *rest = (
            CALL.unpack_from(body)
        )
        flags, name, mark = rest
        at = CALL.size
        start = at + ENTRY.size * (n_arguments + n_relocations)
        if start + size != len(body) or outputs > size:
            raise BadFrame("the block has another size")
        entries = list(ENTRY.iter_unpack(bytes(body[at:start])))
        arguments = tuple(
            Argument(ArgumentPlace(p), value) for p, _, value in entries[:n_arguments]
        )
        relocations = tuple(Relocation(ArgumentPlace(p), o, v) for p, o, v in entries[n_arguments:])
        block = bytes(body[start:])
        segments = (block,) if size else ()
        # Their numbers here come beside the frame.
        descriptors = (-1,) * n_descriptors
        image = CallImage(arguments, relocations, segments, size, outputs, descriptors)
        function = name.rstrip(b"\0").decode("ascii")
        return cls(number, function, image, mark.rstrip(b"\0"), rows, flags, userdata)


@attrs.frozen
class ReturnFrame:
    """A call has returned.

    :param has_handle: True if there is a handle of a model now.
    :param outputs: the end of the block, where C has written.
    """

    number: int
    status: int
    has_handle: bool
    outputs: bytes = b""

    def encode(self) -> bytes:
        """Return the frame."""
        body = RETURN.pack(self.status, self.has_handle) + self.outputs
        return HEADER.pack(FrameKind.RETURN, 0, self.number, len(body)) + body


def signal_frame(kind: FrameKind, number: int) -> bytes:
    """Return the frame of an abort or a pause, of the call of this number."""
    return HEADER.pack(kind, 0, number, 0)


def encode_callback(copy: CallbackCopy) -> bytes:
    """Return the frame of a callback."""
    if len(copy.rows) == 1:
        [(structure, text, arrays)] = copy.rows
        if text is not None and not (arrays[0] or arrays[1]):  # a token, as most are
            body_bytes = _TOKEN_BYTES + len(structure) + len(text)
            head = TOKEN.pack(
                FrameKind.CALLBACK, 0, 0, body_bytes, copy.state, 1, copy.userdata, len(text), 0, 0
            )
            return head + structure + text
    parts = [CALLBACK.pack(copy.state, len(copy.rows), copy.userdata)]
    for row in copy.rows:
        text_bytes = NO_TEXT if row.text is None else len(row.text)
        parts.append(ROW.pack(text_bytes, *map(len, row.arrays)))
        parts += (row.structure, row.text or b"", *row.arrays)
    body = b"".join(parts)
    return HEADER.pack(FrameKind.CALLBACK, 0, 0, len(body)) + body


class FrameReader:
    """Splits bytes into frames, however they were divided into reads.

    :raises BadFrame: (from all methods) a header is wrong.
    """

    def __init__(self) -> None:
        #: The beginning of a frame; of a large one, with room for all of it.
        self._rest = bytearray()
        #: How many bytes have come of it, and how many there must be before one may be complete.
        self._have = self._needed = 0

    def feed(self, data: Buffer) -> list[Frame]:
        """Add bytes; return the frames that are complete."""
        frames: list[Frame] = []
        for whole in self.join(data):
            at = 0
            while (found := frame_at(whole, at)) is not None:
                frame, at = found
                frames.append(frame)
            self.keep(whole, at)
        return frames

    def join(self, data: Buffer) -> Sequence[Buffer]:
        """Return the bytes from the first frame on; none if that cannot be complete yet.

        :returns: bytes, or, before them, a view of one large frame alone.
        """
        if not self._have:
            return (bytes(data),)
        if len(self._rest) > self._have:
            return self._join_large(memoryview(data))
        self._rest += data
        self._have = len(self._rest)
        if self._have < self._needed:
            return ()
        return (bytes(self._take()),)

    def _join_large(self, data: memoryview) -> Sequence[Buffer]:
        part = data[: self._needed - self._have]
        stop = self._have + len(part)
        memoryview(self._rest)[self._have : stop] = part
        self._have = stop
        if stop < self._needed:
            return ()
        rest = bytes(data[len(part) :])
        frame = memoryview(self._take())
        return (frame, rest) if rest else (frame,)

    def _take(self) -> bytearray:
        taken, self._rest, self._have = self._rest, bytearray(), 0
        return taken

    def keep(self, whole: Buffer, at: int) -> None:
        """Keep what is no whole frame of what :meth:`join` has returned.

        :param at: where that begins.
        """
        rest = bytearray(whole[at:])
        self._rest, self._have, self._needed = rest, len(rest), _needed(rest)
        if LARGE_BYTES < self._needed <= MAX_AT_ONCE_BYTES:
            # Adding up the parts would copy the first ones again and again.
            self._rest = bytearray(self._needed)
            self._rest[: len(rest)] = rest


def _needed(rest: bytearray) -> int:
    """Return how many bytes there must be before another frame may be complete."""
    if len(rest) < HEADER.size:
        return HEADER.size
    return HEADER.size + int(HEADER.unpack_from(rest)[3])


def frame_at(data: Buffer, at: int) -> tuple[Frame, int] | None:
    """Return the frame at a place, and where it ends; None if it is not complete.

    :raises BadFrame: its header is wrong.
    """
    body = at + HEADER.size
    if body > len(data):
        return None
    kind, zero, number, size = HEADER.unpack_from(data, at)
    if zero or size > MAX_BODY_BYTES:
        raise BadFrame("a header is wrong")
    stop = body + size
    if stop > len(data):
        return None
    # A view of a large one, which is not copied for being read.
    source = memoryview(data) if size > LARGE_BYTES else data
    return (kind, number, source[body:stop]), stop
