"""The values of JSON-RPC 2.0 messages; :mod:`rkllm_twisted.wire.jsonrpc` makes them.

They are msgspec structures: making one takes a fifth of the time of a frozen attrs class.
"""

from __future__ import annotations

import msgspec

from rkllm_twisted.errors import RPCError, error_from
from rkllm_twisted.values import Params


class Request(msgspec.Struct, frozen=True):
    """A request: the client expects a response.

    :param id: the id's JSON text, byte for byte.
    """

    id: bytes
    method: str
    params: Params


class Notification(msgspec.Struct, frozen=True):
    """A notification: it gets no response."""

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
    """A response. A server ignores it: two servers that answered responses would never stop.

    :param id: the id's JSON text; None if there was none.
    :param result: JSON text, if the request succeeded.
    :param error: JSON text, if it failed.
    """

    id: bytes | None
    result: bytes | None
    error: bytes | None

    def outcome(self) -> object:
        """Return the result.

        :raises RPCError: the request failed; the class is that of the error's code.
        :raises ValueError: the result has a number that Python cannot represent.
        """
        if self.error is not None:
            raise error_from(msgspec.json.decode(self.error))
        return None if self.result is None else msgspec.json.decode(self.result)


Single = Request | Notification | Malformed | Reply


class Batch(msgspec.Struct, frozen=True):
    """Several messages in one, which get one response."""

    members: tuple[Single, ...]


Message = Single | Batch
