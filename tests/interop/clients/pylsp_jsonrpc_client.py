"""python-lsp-jsonrpc: its Endpoint, with its own ids."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from driven import Called, Message, drive, notified
from pylsp_jsonrpc.endpoint import Endpoint


class Peer:
    """See :class:`driven.Peer`."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._endpoint = Endpoint({"rkllm.result": notified}, send, self._new_id)
        self.receive = self._endpoint.consume

    def _new_id(self) -> str:
        self._id = str(uuid.uuid4())
        return self._id

    def call(self, method: str, params: Any) -> Called:
        answer = self._endpoint.request(method, params)
        cancelled = {"id": self._id}
        return Called(answer, lambda: self._endpoint.notify("$/cancelRequest", cancelled))


drive(Peer)
