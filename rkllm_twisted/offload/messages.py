"""A parsed message as MessagePack, between the parser's process and the daemon. Pure.

Parsing 64 MiB of JSON takes a second or more and holds Python's lock. So another process parses a
large message (:mod:`rkllm_twisted.offload.parser`) and returns its values as MessagePack, with the
arrays of floats as the bytes that the library takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rkllm_twisted.errors import BY_CODE, InternalError, InvalidParams, RPCError
from rkllm_twisted.values import FloatArray, Params, WrongArray
from rkllm_twisted.wire import jsonrpc, msgpack
from rkllm_twisted.wire.messages import (
    Batch,
    Malformed,
    Message,
    Notification,
    Reply,
    Request,
    Single,
)

#: Values of a message besides the numbers of float arrays: the daemon itself must unpack them.
MAX_VALUES = 200_000

#: Makes a float array of a parameter.
ToFloats = Callable[[object], FloatArray | WrongArray]


class _PackedCall(msgspec.Struct, frozen=True, tag=True):
    id: bytes | None
    method: str
    params: Any


class _PackedError(msgspec.Struct, frozen=True, tag=True):
    id: bytes | None
    code: int
    message: str
    data: Any


class _IgnoredReply(msgspec.Struct, frozen=True, tag=True):
    """A reply, which a server ignores."""


class _Read(msgspec.Struct, frozen=True):
    members: list[_PackedCall | _PackedError | _IgnoredReply]
    is_batch: bool


def read(payload: bytes, floats: Mapping[str, ToFloats]) -> bytes:
    """Parse a message and pack its values.

    :param floats: member name -> the function that makes a float array of such a member, anywhere.
    """
    message = jsonrpc.parse(payload)
    members = message.members if isinstance(message, Batch) else (message,)
    made = [_packed(member, floats) for member in members]
    is_batch = isinstance(message, Batch)
    try:
        return _encoder.encode(_Read(made, is_batch))
    except OverflowError:
        return _encoder.encode(
            _Read([_with_big_integers_packed(member) for member in made], is_batch)
        )


def unpack(data: bytes) -> Message:
    """Make the message from the result of :func:`read`.

    :raises msgspec.MsgspecError: the bytes are something else.
    """
    read = _decoder.decode(data)
    members = tuple(_unpacked(member) for member in read.members)
    return Batch(members) if read.is_batch else members[0]


def _packed(
    member: Single, floats: Mapping[str, ToFloats]
) -> _PackedCall | _PackedError | _IgnoredReply:
    if isinstance(member, Reply):
        return _IgnoredReply()
    if isinstance(member, Malformed):
        return _fault(member.id, member.error)
    raw_id = member.id if isinstance(member, Request) else None
    start = "" if isinstance(member.params, Mapping) else "params"
    try:
        params = _Packing(floats).pack(start, member.params)
    except InvalidParams as error:
        return _fault(raw_id, error)
    return _PackedCall(raw_id, member.method, params)


def _fault(raw_id: bytes | None, error: RPCError) -> _PackedError:
    return _PackedError(raw_id, error.code, error.message, error.data)


def _with_big_integers_packed(
    member: _PackedCall | _PackedError | _IgnoredReply,
) -> _PackedCall | _PackedError | _IgnoredReply:
    if not isinstance(member, _PackedCall):
        return member
    return msgspec.structs.replace(member, params=msgpack.with_big_integers_packed(member.params))


def _unpacked(member: _PackedCall | _PackedError | _IgnoredReply) -> Single:
    if isinstance(member, _IgnoredReply):
        return Reply(None, None, None)
    if isinstance(member, _PackedError):
        error = BY_CODE.get(member.code, InternalError)(member.message, member.data)
        return Malformed(error, member.id)
    params: Params = member.params
    if member.id is None:
        return Notification(member.method, params)
    return Request(member.id, member.method, params)


class _Packing:
    """Packs the params of one call."""

    def __init__(self, floats: Mapping[str, ToFloats]) -> None:
        self._floats = floats
        self._left = MAX_VALUES

    def pack(self, path: str, value: Any) -> Any:
        """Pack a value of the params: float arrays as bytes, any other value as it is.

        :param path: the place of the value in the params, such as ``a.b[0]``; it names errors.
        :raises InvalidParams: there are more than :data:`MAX_VALUES` values.
        """
        if isinstance(value, Mapping):
            self._count(path, len(value))
            front = f"{path}." if path else ""
            return {name: self._member(front + name[:100], name, value[name]) for name in value}
        if isinstance(value, list):
            self._count(path, len(value))
            return [self.pack(f"{path}[{i}]", item) for i, item in enumerate(value)]
        return value

    def _member(self, path: str, name: str, value: Any) -> Any:
        if name in self._floats and isinstance(value, (list, Mapping)):
            return msgpack.with_arrays_packed(self._floats[name](value))
        return self.pack(path, value)

    def _count(self, path: str, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise InvalidParams(
                f"{path[:200]}: a message may hold {MAX_VALUES} values beside its arrays of floats;"
                " send less at once.",
                {"parameter": path[:200], "max_values": MAX_VALUES},
            )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Read, ext_hook=msgpack.ext_hook)
