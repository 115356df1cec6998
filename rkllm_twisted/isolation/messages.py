"""What passes between the daemon and the process that holds the runtime.

Messages are typed values, written as MessagePack in netstrings: the daemon has checked the JSON of
its clients already, and an array of floats crosses as the bytes that it is. Pure.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from msgspec.msgpack import Ext

from rkllm_twisted.errors import BY_CODE, InternalError, RPCError
from rkllm_twisted.values import FloatArray, WrongArray

#: The MessagePack extension type of a float array: rows, columns, data.
FLOATS = 1
#: That of a whole number of more than 64 bits, which MessagePack has not: in hexadecimal digits.
INTEGER = 2
#: That of an array that is none: where and what, with a NUL between.
WRONG = 3
_SHAPE = struct.Struct("<BQQ")
#: Where floats lie.
Buffer: TypeAlias = "bytes | memoryview | array[Any]"


class Perform(msgspec.Struct, frozen=True, tag=True):
    """To the child: do a call, when the one before is done.

    :param number: of the call; what comes of it carries the same.
    :param streams: is it a run, whose partial results are wanted?
    """

    number: int
    function: str
    params: Any
    streams: bool


class Now(msgspec.Struct, frozen=True, tag=True):
    """To the child: do this at once, beside the call under way. It is not answered.

    :param verb: ``abort`` or ``pause``.
    """

    verb: str


class Partial(msgspec.Struct, frozen=True, tag=True):
    """From the child: one result of a run."""

    number: int
    result: Any


class Done(msgspec.Struct, frozen=True, tag=True):
    """From the child: a call has ended well.

    :param loaded: is a model loaded now?
    """

    number: int
    result: Any
    loaded: bool


class Failed(msgspec.Struct, frozen=True, tag=True):
    """From the child: a call has ended with an error."""

    number: int
    code: int
    message: str
    data: Any
    loaded: bool

    def error(self) -> RPCError:
        """The exception that it stands for."""
        data = self.data if isinstance(self.data, Mapping) else None
        return BY_CODE.get(self.code, InternalError)(self.message, data)


ToChild = Perform | Now
FromChild = Partial | Done | Failed


def pack(message: ToChild | FromChild) -> bytes:
    """Write a message."""
    try:
        return _encoder.encode(message)
    except OverflowError:
        if not isinstance(message, Perform):
            raise
        return _encoder.encode(
            msgspec.structs.replace(message, params=with_big_integers_packed(message.params))
        )


def to_child(data: bytes) -> ToChild:
    """Read what the daemon sends.

    :raises msgspec.MsgspecError: it is no message.
    """
    return _to_child.decode(data)


def from_child(data: bytes) -> FromChild:
    """Read what the child sends.

    :raises msgspec.MsgspecError: it is no message.
    """
    return _from_child.decode(data)


def with_arrays_packed(value: Any, known: Mapping[int, Buffer] = MappingProxyType({})) -> Any:
    """Replace arrays in params, wherever they are, by what MessagePack has for bytes.

    :param known: the float32s of values that are no float arrays yet, by the ``id()`` of the value.
    """
    if id(value) in known:
        numbers = memoryview(known[id(value)])
        return _floats(numbers, len(numbers))
    if isinstance(value, FloatArray):
        return _floats(value.data, *value.shape)
    if isinstance(value, WrongArray):
        return Ext(WRONG, f"{value.where}\0{value.what}".encode())
    if isinstance(value, Mapping):
        return {name: with_arrays_packed(item, known) for name, item in value.items()}
    if isinstance(value, (list, tuple)) and any(
        isinstance(v, (Mapping, FloatArray, list)) for v in value
    ):
        return [with_arrays_packed(item, known) for item in value]
    return value


def _floats(data: Buffer, *shape: int) -> Ext:
    rows, columns = (*shape, 0, 0)[:2]
    return Ext(FLOATS, b"".join((_SHAPE.pack(len(shape), rows, columns), data)))


def with_big_integers_packed(value: Any) -> Any:
    """Replace whole numbers that MessagePack has not. They are rare, so it is tried without."""
    if isinstance(value, Mapping):
        return {name: with_big_integers_packed(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_big_integers_packed(item) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return Ext(INTEGER, b"%x" % value)
    return value


def extension(
    code: int, data: memoryview, make: Callable[[memoryview], Any] = bytes
) -> FloatArray | WrongArray | int:
    """Make a value of its extension type.

    :param make: what floats are to lie in.
    :raises ValueError: there is no such type.
    """
    if code == INTEGER:
        return int(bytes(data), 16)
    if code == WRONG:
        return WrongArray(*str(data, "utf-8").split("\0", 1))
    if code != FLOATS:
        raise ValueError(f"there is no extension type {code}")
    dimensions, rows, columns = _SHAPE.unpack_from(data)
    return FloatArray(make(data[_SHAPE.size :]), (rows, columns)[:dimensions])


def _crossing(value: object) -> Ext:
    """What msgspec asks for the form of a value that it does not know."""
    if isinstance(value, FloatArray):
        return _floats(value.data, *value.shape)
    raise TypeError(f"{type(value).__name__} cannot cross")


_encoder = msgspec.msgpack.Encoder(enc_hook=_crossing)
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(
    # What can be written to is what C reads: the binding need not copy it.
    ToChild,
    ext_hook=partial(extension, make=bytearray),
)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(
    FromChild, ext_hook=extension
)
