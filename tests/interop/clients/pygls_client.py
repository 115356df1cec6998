"""pygls: its JsonRPCClient, with parameters and results as plain values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from driven import Called, Message, drive, notified
from pygls.client import JsonRPCClient
from pygls.protocol import JsonRPCNotification, JsonRPCResponseMessage, default_converter


def plain_values() -> Any:
    """Keep plain values: pygls's namedtuples cannot have names that begin with an underscore."""
    converter = default_converter()
    for kind in (JsonRPCNotification, JsonRPCResponseMessage):
        converter.register_structure_hook(kind, lambda fields, kind: kind(**fields))
    return converter


class Writer:
    """The writer that pygls calls with one whole message at a time."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send

    def write(self, data: bytes) -> None:
        self._send(json.loads(data))

    def close(self) -> None:
        """Do nothing."""


class Peer:
    """See :class:`driven.Peer`."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        client = JsonRPCClient(converter_factory=plain_values)
        client.feature("rkllm.result")(notified)
        self._protocol = client.protocol
        self._protocol.set_writer(Writer(send), include_headers=False)
        self._ids = itertools.count()

    def receive(self, message: Message) -> None:
        self._protocol.handle_message(self._protocol.structure_message(message))

    def call(self, method: str, params: Any) -> Called:
        number = next(self._ids)
        answer = self._protocol.send_request(method, params, msg_id=number)
        return Called(answer, lambda: self._protocol.notify("$/cancelRequest", {"id": number}))


drive(Peer)
