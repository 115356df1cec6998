"""The client's half of a connection, without I/O: requests to bytes, and bytes to events."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rkllm_twisted.client_core.events import ErrorAnswer, Event, FinalAnswer, Notified, Part
from rkllm_twisted.errors import InternalError, InvalidParams, NotADaemon, RPCError, error_from
from rkllm_twisted.values import Params
from rkllm_twisted.wire.framing import FramingError, Netstrings, netstring
from rkllm_twisted.wire.jsonrpc import notification, request

#: The longest message that is read from a daemon. A model's hidden states as JSON can be this long.
MAX_MESSAGE_BYTES = 2**32
#: The notification that carries a stream's partial result.
PARTIAL = "rkllm.result"
NOT_OURS = (
    "The program that answers at {where} does not speak the daemon's protocol; check that this is"
    " the socket of twistd rkllm."
)


class _ReceivedMessage(msgspec.Struct):
    """Any message of a daemon."""

    id: int | str | float | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _StreamParams(msgspec.Struct):
    """The parameters of a stream's notification."""

    id: int
    result: Any


class _PartMessage(msgspec.Struct):
    """A message that begins with :data:`_PART_BEGINS`."""

    params: _StreamParams
    id: Raw | UnsetType = UNSET


#: How a daemon begins a stream's partial result: most messages of a stream are read in one step.
_PART_BEGINS = b'{"jsonrpc":"2.0","method":"rkllm.result",'
_read_message = msgspec.json.Decoder(_ReceivedMessage).decode
_read_part_message = msgspec.json.Decoder(_PartMessage).decode
_read_stream_params = msgspec.json.Decoder(_StreamParams).decode


class ClientConnection:
    """The requests of one connection. It does no I/O: the caller sends the bytes that it returns.

    It asks for streams as notifications, so that every request has exactly one answer. With several
    responses for one id a client would have to know which methods stream, and what the last result
    of each looks like; for a third party's method it knows neither.

    :param where: the daemon's address, for messages.
    :param max_length: bytes of the longest message that is accepted.
    """

    def __init__(self, where: str, max_length: int = MAX_MESSAGE_BYTES) -> None:
        self._where = where
        self._ids = itertools.count(1)
        self._frames = Netstrings(max_length)
        self._open: set[int] = set()
        self._broken = False

    def greet(self) -> tuple[int, bytes]:
        """Return the first request of a connection; the next ones need not wait for its answer."""
        return self.ask("server.configure", {"stream": "notifications"})

    def ask(self, method: str, params: Params = None) -> tuple[int, bytes]:
        """Return a new request.

        :param params: JSON values; a :class:`FloatArray` is sent as base64.
        :returns: its id, and the bytes to send.
        :raises InvalidParams: if the parameters cannot be written as JSON.
        """
        number = next(self._ids)
        data = netstring(_encode_request(number, method, params))
        self._open.add(number)
        return number, data

    def cancel(self, number: int) -> bytes:
        """Forget a request: no event follows for it, and the daemon stops it.

        :returns: the bytes to send; none if the request has been answered already.
        """
        if number not in self._open:
            return b""
        self._open.remove(number)
        return netstring(notification("$/cancelRequest", {"id": number}))

    def feed(self, data: bytes) -> list[Event]:
        """Read bytes of the daemon.

        :returns: the events, in order. Messages that concern no open request are left out.
        """
        if self._broken:
            return []
        try:
            messages, broken = self._frames.feed(data), False
        except FramingError as error:
            messages, broken = list(error.messages), True
        events: list[Event] = []
        for message in messages:
            event = self._read(message)
            if event is not None:
                events.append(event)
        if broken and not self._broken:
            events.append(self._not_ours())
        return events

    def _read(self, text: bytes) -> Event | None:
        if self._broken:
            return None
        try:
            if text.startswith(_PART_BEGINS):
                part = _read_part_message(text)
                return self._part(part.params) if part.id is UNSET else None
            message = _read_message(text)
            if isinstance(message.method, str):
                return self._notified(message.method, message)
        except (msgspec.DecodeError, RecursionError):
            return self._not_ours()
        return self._answered(message)

    def _notified(self, method: str, message: _ReceivedMessage) -> Event | None:
        if message.id is not UNSET:  # a request: no daemon known to us sends any
            return None
        if method == PARTIAL:
            return self._part(_read_stream_params(message.params or b""))
        return Notified(method, msgspec.json.decode(message.params or b"null"))

    def _part(self, part: _StreamParams) -> Part | None:
        return Part(part.id, part.result) if part.id in self._open else None

    def _answered(self, message: _ReceivedMessage) -> Event | None:
        if message.id is None and message.error is not UNSET:
            self._open.clear()
            return ErrorAnswer(None, _error(message))
        if not isinstance(message.id, int) or message.id not in self._open:
            return None
        self._open.remove(message.id)
        if message.error is not UNSET:
            return ErrorAnswer(message.id, _error(message))
        try:
            return FinalAnswer(message.id, msgspec.json.decode(message.result or b"null"))
        except (ValueError, RecursionError) as error:
            problem = f"The daemon's answer cannot be read: {error}."
            return ErrorAnswer(message.id, InternalError(problem))

    def _not_ours(self) -> ErrorAnswer:
        self._broken = True
        self._open.clear()
        return ErrorAnswer(None, NotADaemon(NOT_OURS.format(where=self._where)))


def _error(message: _ReceivedMessage) -> RPCError:
    return error_from(msgspec.json.decode(message.error or b"null"))


def _encode_request(number: int, method: str, params: Params) -> bytes:
    try:
        return request(number, method, params, floats="base64")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidParams(f"The parameters cannot be written as JSON: {error}.") from None
