"""The values of JSON-RPC 2.0 messages; :mod:`rkllm_twisted.wire.jsonrpc` makes them."""

from __future__ import annotations

import attrs
import msgspec

from rkllm_twisted.errors import RPCError, error_from
from rkllm_twisted.values import Params


@attrs.frozen
class Request:
    """A call that is to be answered.

    :param id: the id's JSON text, byte for byte.
    """

    id: bytes
    method: str
    params: Params


@attrs.frozen
class Notification:
    """A call that is never answered."""

    method: str
    params: Params


@attrs.frozen
class Malformed:
    """What is none of these.

    :param error: to answer with.
    :param id: to answer to, where it could be read.
    """

    error: RPCError
    id: bytes | None = None


@attrs.frozen
class Reply:
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


@attrs.frozen
class Batch:
    """Several messages in one, to be answered in one."""

    members: tuple[Single, ...]


Message = Single | Batch
