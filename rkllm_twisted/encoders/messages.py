"""The messages between the daemon and the process that holds a vision encoder. Pure.

They are MessagePack in netstrings, as those of the runtime's process; rows cross as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rkllm_twisted.errors import BY_CODE, InternalError, RPCError


class OpenEncoder(msgspec.Struct, frozen=True, tag=True):
    """To the process, first: open an encoder; see :meth:`IVisionEncoder.open`.

    :param kind: the name of the provider.
    """

    kind: str
    path: str
    cores: str
    library: str | None


class EncodePixels(msgspec.Struct, frozen=True, tag=True):
    """To the process: make the rows of a picture."""

    pixels: bytes


class EncoderOpened(msgspec.Struct, frozen=True, tag=True):
    """From the process: the encoder is open.

    :param about: the fields of :class:`~rkllm_twisted.vision_interfaces.EncoderAbout`.
    """

    about: dict[str, Any]
    width: int
    height: int
    tokens: int
    row_width: int
    outputs: int
    warning: str | None = None


class EncoderRows(msgspec.Struct, frozen=True, tag=True):
    """From the process: the rows of a picture."""

    data: bytes
    shape: tuple[int, ...]


class EncoderFailed(msgspec.Struct, frozen=True, tag=True):
    """From the process: what was asked for failed. The process goes on."""

    code: int
    message: str
    data: Any = None

    def error(self) -> RPCError:
        """The exception that it stands for."""
        data = self.data if isinstance(self.data, Mapping) else None
        return BY_CODE.get(self.code, InternalError)(self.message, data)


ToProcess = OpenEncoder | EncodePixels
FromProcess = EncoderOpened | EncoderRows | EncoderFailed

_to_process: msgspec.msgpack.Decoder[ToProcess] = msgspec.msgpack.Decoder(ToProcess)
_from_process: msgspec.msgpack.Decoder[FromProcess] = msgspec.msgpack.Decoder(FromProcess)


def pack(message: ToProcess | FromProcess) -> bytes:
    """Write a message."""
    return msgspec.msgpack.encode(message)


def to_process(data: bytes) -> ToProcess:
    """Read what the daemon sends.

    :raises msgspec.MsgspecError: it is no message.
    """
    return _to_process.decode(data)


def from_process(data: bytes) -> FromProcess:
    """Read what the process sends.

    :raises msgspec.MsgspecError: it is no message.
    """
    return _from_process.decode(data)
