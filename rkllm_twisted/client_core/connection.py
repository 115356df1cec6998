"""The client's half of a connection: bytes in, values out, and the other way.

A :class:`ClientConnection` writes requests, and finds the request that each message of the daemon
belongs to. It asks for streams as notifications, so that every request has exactly one answer,
whatever its method is (docs/develop/decisions.md).
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rkllm_twisted.client_core.events import Answer, Event, Failed, Notified, Part
from rkllm_twisted.errors import InternalError, InvalidParams, NotADaemon, RPCError, error_from
from rkllm_twisted.values import Params
from rkllm_twisted.wire.framing import FramingError, Netstrings, netstring
from rkllm_twisted.wire.jsonrpc import notification, request

#: Bytes of one message of the daemon's: a model's hidden states as JSON have no smaller bound.
MAX_LENGTH = 2**32
#: What a stream's partial results are sent as.
PARTIAL = "rkllm.result"
NOT_OURS = (
    "What answers at {where} does not speak the daemon's protocol; is that the socket of twistd"
    " rkllm?"
)


class _Message(msgspec.Struct):
    """Whatever a daemon sends."""

    id: int | str | float | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _Partial(msgspec.Struct):
    """The parameters of a stream's notification."""

    id: int
    result: Any


class ClientConnection:
    """One connection's requests. It does no I/O: what it returns is to be sent.

    :param where: the daemon's address, for messages.
    :param max_length: bytes of the longest message that is taken.
    """

    def __init__(self, where: str, max_length: int = MAX_LENGTH) -> None:
        self._where = where
        self._ids = itertools.count(1)
        self._frames = Netstrings(max_length)
        self._open: set[int] = set()
        self._broken = False

    def greet(self) -> tuple[int, bytes]:
        """Write the request that a connection begins with; others need not wait for its answer."""
        return self.ask("server.configure", {"stream": "notifications"})

    def ask(self, method: str, params: Params = None) -> tuple[int, bytes]:
        """Write a request.

        :param params: JSON values; :class:`FloatArray` is sent as base64.
        :returns: its id, and the bytes to send.
        :raises InvalidParams: the parameters have no JSON form.
        """
        number = next(self._ids)
        data = netstring(_written(request, number, method, params))
        self._open.add(number)
        return number, data

    def cancel(self, number: int) -> bytes:
        """Give a request up: nothing is told of it any more, and the daemon is to stop it.

        :returns: the bytes to send; none where it has been answered already.
        """
        if number not in self._open:
            return b""
        self._open.remove(number)
        return netstring(notification("$/cancelRequest", {"id": number}))

    def feed(self, data: bytes) -> list[Event]:
        """Take what was read.

        :returns: what it means, in order. What does not concern an open request is left out.
        """
        if self._broken:
            return []
        try:
            messages, broken = self._frames.feed(data), False
        except FramingError as error:
            messages, broken = list(error.messages), True
        events = [event for message in messages for event in self._read(message)]
        if broken and not self._broken:
            events.append(self._give_up())
        return events

    def _read(self, text: bytes) -> list[Event]:
        if self._broken:
            return []
        try:
            message = msgspec.json.decode(text, type=_Message)
            if isinstance(message.method, str):
                return self._notified(message.method, message)
        except (msgspec.DecodeError, RecursionError):
            return [self._give_up()]
        return self._answered(message)

    def _notified(self, method: str, message: _Message) -> list[Event]:
        if message.id is not UNSET:  # a request of the daemon's: there are none that we know
            return []
        if method == PARTIAL:
            part = msgspec.json.decode(message.params or b"", type=_Partial)
            return [Part(part.id, part.result)] if part.id in self._open else []
        return [Notified(method, msgspec.json.decode(message.params or b"null"))]

    def _answered(self, message: _Message) -> list[Event]:
        if message.id is None and message.error is not UNSET:
            self._open.clear()
            return [Failed(None, _error(message))]
        if not isinstance(message.id, int) or message.id not in self._open:
            return []
        self._open.remove(message.id)
        if message.error is not UNSET:
            return [Failed(message.id, _error(message))]
        try:
            return [Answer(message.id, msgspec.json.decode(message.result or b"null"))]
        except (ValueError, RecursionError) as error:
            problem = f"The daemon's answer cannot be read: {error}."
            return [Failed(message.id, InternalError(problem))]

    def _give_up(self) -> Failed:
        self._broken = True
        self._open.clear()
        return Failed(None, NotADaemon(NOT_OURS.format(where=self._where)))


def _error(message: _Message) -> RPCError:
    return error_from(msgspec.json.decode(message.error or b"null"))


def _written(write: Any, *what: Any) -> bytes:
    try:
        data: bytes = write(*what, floats="base64")
        return data
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidParams(f"The parameters have no JSON form: {error}.") from None
