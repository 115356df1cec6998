"""The messages between the daemon and the process that holds the runtime.

Messages are typed values, written as MessagePack in netstrings: the daemon has checked the JSON of
its clients already, and an array of floats crosses as the bytes that it is. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from rkllm_twisted.errors import BY_CODE, InternalError, RPCError
from rkllm_twisted.wire.msgpack import enc_hook, ext_hook, with_big_integers_packed


class Perform(msgspec.Struct, frozen=True, tag=True):
    """To the child: do a call, when the one before is done.

    :param number: of the call; what comes of it carries the same.
    :param streams: is it a run, whose partial results are wanted?
    :param mark: see :class:`~rkllm_twisted.isolation.marks.CallMarks`.
    """

    number: int
    function: str
    params: Any
    streams: bool
    mark: bytes = b""


class Now(msgspec.Struct, frozen=True, tag=True):
    """To the child: do this at once, beside the call under way. It is not answered.

    :param verb: ``abort`` or ``pause``.
    """

    verb: str


class Token(msgspec.Struct, frozen=True, tag=True):
    """From the child: one result of a run, as most are.

    :param json: see :class:`~rkllm_twisted.wire.encoded_result.EncodedResult`.
    """

    number: int
    json: bytes


class Partial(msgspec.Struct, frozen=True, tag=True):
    """From the child: one result of a run that has arrays, several rows, or another state."""

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
FromChild = Token | Partial | Done | Failed


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


_encoder = msgspec.msgpack.Encoder(enc_hook=enc_hook)
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(
    # What can be written to is what C reads: the binding need not copy it.
    ToChild,
    ext_hook=partial(ext_hook, make=bytearray),
)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(
    FromChild, ext_hook=ext_hook
)
