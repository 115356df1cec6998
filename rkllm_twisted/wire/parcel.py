"""What passes between the daemon and the process that holds the runtime.

Messages are typed values, written as MessagePack in netstrings: the daemon has checked the JSON of
its clients already, and an array of floats crosses as the bytes that it is. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from rkllm_twisted.errors import BY_CODE, InternalError, RPCError
from rkllm_twisted.interfaces import FloatArray

#: The MessagePack extension type of a float array: rows, columns, data.
FLOATS = 1
#: That of a whole number of more than 64 bits, which MessagePack has not: in hexadecimal digits.
INTEGER = 2
_SHAPE = struct.Struct("<BQQ")


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
        return _encoder.encode(msgspec.structs.replace(message, params=mended(message.params)))


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


def parcelled(value: Any) -> Any:
    """Replace float arrays, wherever they are, by what MessagePack has for bytes."""
    if isinstance(value, FloatArray):
        columns = value.shape[1] if len(value.shape) > 1 else 0
        rows = value.shape[0] if value.shape else 0
        return Ext(FLOATS, _SHAPE.pack(len(value.shape), rows, columns) + value.data)
    if isinstance(value, Mapping):
        return {name: parcelled(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)) and any(
        isinstance(v, (Mapping, FloatArray, list)) for v in value
    ):
        return [parcelled(item) for item in value]
    return value


def mended(value: Any) -> Any:
    """Replace whole numbers that MessagePack has not. They are rare, so it is tried without."""
    if isinstance(value, Mapping):
        return {name: mended(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mended(item) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return Ext(INTEGER, b"%x" % value)
    return value


def extension(code: int, data: memoryview) -> FloatArray | int:
    """Make a value of its extension type.

    :raises ValueError: there is no such type.
    """
    if code == INTEGER:
        return int(bytes(data), 16)
    if code != FLOATS:
        raise ValueError(f"there is no extension type {code}")
    dimensions, rows, columns = _SHAPE.unpack_from(data)
    return FloatArray(bytes(data[_SHAPE.size :]), (rows, columns)[:dimensions])


_encoder = msgspec.msgpack.Encoder()
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild, ext_hook=extension)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(
    FromChild, ext_hook=extension
)
