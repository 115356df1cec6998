"""A client without a reactor: a socket and the same pure parts as the server.

with Client() as client:
    for result in client.stream("rkllm.run_async", [{"prompt_input": "Hello", …}]):
        print(result["text"])
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from rkllm_twisted.interfaces import Params
from rkllm_twisted.wire.framing import Netstrings, netstring
from rkllm_twisted.wire.jsonrpc import Reply, parse, request

DEFAULT_SOCKET = "/tmp/rkllm.sock"
#: ``_callback_state`` from this on ends a stream (LLMCallState: 2 finish, 3 error).
FINISH = 2
#: What goes wrong on the way to a daemon -> what to do about it.
UNREACHABLE: dict[type[OSError], str] = {
    FileNotFoundError: "start one with `twistd -n rkllm`, or name its socket with --socket or"
    " $RKLLM_UDS_PATH.",
    ConnectionRefusedError: "start one with `twistd -n rkllm`; what is there was left by one that"
    " was killed.",
    PermissionError: "its permissions do not let you; the daemon's option --mode sets them.",
}


class Unreachable(ConnectionError):
    """No daemon can be talked to; the text is one sentence that says what to do."""


def default_socket() -> str:
    """Where a daemon's socket is when nobody says otherwise."""
    return os.environ.get("RKLLM_UDS_PATH") or DEFAULT_SOCKET


class Client:
    """One connection to a daemon.

    :param path: of the daemon's socket; ``$RKLLM_UDS_PATH`` or ``/tmp/rkllm.sock`` where left out.
    :param timeout: seconds that the daemon may be silent, ``None`` for ever.
    :raises Unreachable: there is no daemon, or it may not be used.
    """

    def __init__(self, path: str | None = None, timeout: float | None = None) -> None:
        self.path = path or default_socket()
        self._ids = itertools.count(1)
        self._frames = Netstrings(max_length=2**31)
        self._pending: list[bytes] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(self.path)
        except OSError as error:
            self._socket.close()
            hint = UNREACHABLE.get(type(error), str(error))
            raise Unreachable(f"No daemon can be reached at {self.path}: {hint}") from None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; what was asked for and not answered is cancelled by the daemon."""
        self._socket.close()

    def call(self, method: str, params: Params = None) -> Any:
        """Ask, and wait for the one answer.

        :returns: the result.
        :raises RPCError: the daemon's error, as the class of its code.
        :raises Unreachable: the connection broke.
        """
        return self._reply(self._send(method, params))

    def stream(self, method: str, params: Params = None) -> Iterator[Any]:
        """Ask, and give each partial result as it comes; the one that ends the stream is the last.

        :raises RPCError: the daemon's error, as the class of its code.
        :raises Unreachable: the connection broke.
        """
        request_id = self._send(method, params)
        while True:
            result = self._reply(request_id)
            yield result
            if result["_callback_state"] >= FINISH:
                return

    def _send(self, method: str, params: Params) -> bytes:
        number = next(self._ids)
        try:
            self._socket.sendall(netstring(request(number, method, params)))
        except ConnectionError:
            raise self._lost() from None
        return b"%d" % number

    def _reply(self, request_id: bytes) -> Any:
        while True:
            reply = parse(self._frame())
            # An error whose id is null concerns the connection, and so whoever waits on it.
            if isinstance(reply, Reply) and reply.id in (request_id, b"null"):
                return reply.outcome()

    def _frame(self) -> bytes:
        while not self._pending:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise Unreachable(f"The daemon at {self.path} was silent for too long.") from None
            except ConnectionError:
                raise self._lost() from None
            if not data:
                raise self._lost()
            self._pending = self._frames.feed(data)
        return self._pending.pop(0)

    def _lost(self) -> Unreachable:
        return Unreachable(
            f"The connection to the daemon at {self.path} was lost; its log says why."
        )
