"""The values of JSON-RPC 2.0 messages; :mod:`rkllm_twisted.wire.jsonrpc` makes them.

They are structures of msgspec's, which are made in a fifth of the time of frozen attrs.
"""

from __future__ import annotations

import msgspec

from rkllm_twisted.errors import RPCError, error_from
from rkllm_twisted.values import Params


class Request(msgspec.Struct, frozen=True):
    """A call that is to be answered.

    :param id: the id's JSON text, byte for byte.
    """

    id: bytes
    method: str
    params: Params


class Notification(msgspec.Struct, frozen=True):
    """A call that is never answered."""

    method: str
    params: Params


class Malformed(msgspec.Struct, frozen=True):
    """A text that is no message.

    :param error: the answer to it.
    :param id: the id to answer to, if it could be read.
    """

    error: RPCError
    id: bytes | None = None


class Reply(msgspec.Struct, frozen=True):
    """An answer. Servers ignore it: two that answer each other's answers never stop.

    :param id: the id's JSON text; None where there was none.
    :param result: JSON text, if the call went well.
    :param error: JSON text, if not.
    """

    id: bytes | None
    result: bytes | None
    error: bytes | None

    def outcome(self) -> object:
        """Give the result.

        :raises RPCError: the call's, of the class that stands for its code.
        :raises ValueError: the result holds a number that Python cannot.
        """
        if self.error is not None:
            raise error_from(msgspec.json.decode(self.error))
        return None if self.result is None else msgspec.json.decode(self.result)


Single = Request | Notification | Malformed | Reply


class Batch(msgspec.Struct, frozen=True):
    """Several messages in one, to be answered in one."""

    members: tuple[Single, ...]


Message = Single | Batch
