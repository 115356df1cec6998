"""A client without a reactor, for scripts, threads and terminals::

    with Client() as client:
        for chunk in client.run_async("Hello"):
            print(chunk.text, end="")

This module imports neither Twisted nor zope.interface. The first client that is made imports what
reads and writes JSON, and its first run imports the typed results.
"""

from __future__ import annotations

import math
import os
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from rkllm_twisted.client_core.address import (
    PING_TIMEOUT_S,
    default_socket,
    lost_error,
    silent_text,
    timeout_text,
)
from rkllm_twisted.client_core.call import (
    MethodCall,
    Results,
    checked_timeout,
    remote_params,
    unchanged,
)
from rkllm_twisted.client_core.events import Arrival, ErrorAnswer, FinalAnswer, Notified, Part
from rkllm_twisted.client_core.method_table import DaemonMethods
from rkllm_twisted.client_core.unix_socket import UNIXSocket, without_interrupts
from rkllm_twisted.errors import Closed, NoAnswer, Unreachable

if TYPE_CHECKING:
    from rkllm_twisted.values import Params

__all__ = ["Client", "Results", "Unreachable", "default_socket"]

T = TypeVar("T")


class Client(DaemonMethods):
    """One connection to a daemon. One thread at a time may use it.

    Whatever ends a call early (a timeout, Ctrl-C, leaving a loop) cancels its request and nothing
    else: the connection stays usable.

    :param path: the daemon's socket; None means ``$RKLLM_UDS_PATH`` or ``/tmp/rkllm.sock``.
    :param timeout: seconds to wait for each answer and each partial result; None means as long as
        the daemon takes. A daemon that does not even answer pings is given up in any case.
    :raises Unreachable: if there is no daemon, or this user may not use it.
    :raises RPCError: if the daemon refuses the connection.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, timeout: float | None = None
    ) -> None:
        from rkllm_twisted.client_core.connection import ClientConnection  # noqa: PLC0415 - see the module

        self.path = os.fspath(path or default_socket()).removeprefix("unix:")
        self.timeout = checked_timeout(timeout)
        self._connection = ClientConnection(self.path)
        self._inboxes: dict[int, deque[Arrival]] = {}
        self._ended: Exception | None = None
        self._user: dict[str, int] = {}  # the thread that is in a call
        self._socket = UNIXSocket(self.path, self._on_data)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<blocking.Client of {self.path}, {self._ended or 'connected'}>"

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
        """Close the connection; the daemon cancels the requests that are not answered yet."""
        with self._one_thread():
            self._end(Closed("This client is closed; make another one."))

    @property
    def is_closed(self) -> bool:
        """True if the connection has ended."""
        return self._ended is not None

    def call(self, method: str, params: Params = None, *, timeout: float | None = None) -> Any:
        """Send any request, and wait for its one answer.

        :param timeout: seconds for this call; None means the client's own timeout.
        :returns: the result.
        :raises RPCError: if the daemon answers with an error; its class depends on the code.
        :raises Unreachable: if the connection breaks, or the answer does not come in time.
        """
        result: Any = None
        seconds = checked_timeout(timeout)
        for result in self._results(method, params, seconds):  # noqa: B007 - the last counts
            pass
        return result

    def callRemote(self, method: str, *args: object, **kwargs: object) -> Any:
        """Send any request as in Perspective Broker: parameters by position or by name.

        :raises TypeError: if they are given both ways, which JSON-RPC does not allow.
        """
        return self.call(method, remote_params(method, args, kwargs))

    def stream(
        self, method: str, params: Params = None, *, timeout: float | None = None
    ) -> Results[Any]:
        """Send any request, and return each partial result as it comes, and then the final one.

        A method that does not stream has one result.

        :param timeout: seconds for each result; None means the client's own timeout.
        :raises RPCError, Unreachable: while the results are read, as :meth:`call`.
        """
        return Results(method, self._results(method, params, checked_timeout(timeout)))

    def _send(self, call: MethodCall[T], /) -> T:
        return call.read(self.call(call.method, call.params, timeout=call.timeout))

    def _stream(self, call: MethodCall[T], /) -> Results[T]:
        results = self._results(call.method, call.params, call.timeout, call.read)
        return Results(call.method, results)

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """Refuse a second thread: it would take the messages of the first.

        :raises RuntimeError: if another thread is in a call.
        """
        # `setdefault` is atomic. A lock would stay locked if Ctrl-C came just after it was taken.
        if self._user.setdefault("thread", get_ident()) != get_ident():
            raise RuntimeError(
                "This client is in use by another thread; make one Client for each thread."
            )
        try:
            yield
        finally:
            self._user.clear()

    def _greet(self) -> None:
        number = self._ask(*self._connection.greet())
        if not self._wait(self._inboxes[number], PING_TIMEOUT_S):
            raise NoAnswer(silent_text(self.path))
        self._next(number, "server.configure", None)
        del self._inboxes[number]

    def _results(
        self,
        method: str,
        params: Params,
        timeout: float | None,
        read: Callable[[Any], T] = unchanged,
    ) -> Generator[T, None, None]:
        number = 0
        try:
            with without_interrupts(), self._one_thread():
                number = self._ask(*self._connection.ask(method, params))
            event: Arrival = Part(number, None)
            while isinstance(event, Part):
                with self._one_thread():
                    event = self._next(number, method, timeout)
                yield read(event.result)
        finally:
            self._leave(number)

    def _ask(self, number: int, data: bytes) -> int:
        """Send a request.

        :raises Exception: the error that has ended the connection.
        """
        if self._ended is not None:
            raise self._ended
        self._inboxes[number] = deque()
        self._socket.send(data)
        return number

    def _leave(self, number: int) -> None:
        """Forget a request, and cancel it if it is not answered yet."""
        with without_interrupts():
            self._inboxes.pop(number, None)
            data = self._connection.cancel(number)
            if data:
                with self._one_thread():
                    self._socket.send(data)

    def _next(self, number: int, method: str, timeout: float | None) -> Part | FinalAnswer:
        """Return what comes next for a request.

        :raises RPCError, Unreachable: if the request has failed.
        """
        inbox = self._inboxes[number]
        seconds = self.timeout if timeout is None else timeout
        if not self._wait(inbox, math.inf if seconds is None else seconds):
            raise NoAnswer(timeout_text(self.path, method, seconds or 0))
        if isinstance(event := inbox.popleft(), ErrorAnswer):
            raise event.error
        assert isinstance(event, Part | FinalAnswer)
        return event

    def _wait(self, inbox: deque[Arrival], seconds: float) -> bool:
        """Wait until the inbox has an event, and return True if it has one."""
        ping = partial(self._connection.ask, "server.ping")
        if not self._socket.wait_for(inbox, seconds, lambda: ping()[1]):
            self._end(NoAnswer(silent_text(self.path)))
        return bool(inbox)

    def _on_data(self, data: bytes) -> None:
        """Process the bytes that were read; none means that the daemon has closed."""
        for event in self._connection.feed(data):
            if isinstance(event, Notified):
                continue
            if event.id is None:
                self._end(event.error)
            elif event.id in self._inboxes:
                self._inboxes[event.id].append(event)
        if not data:
            self._end(lost_error(self.path))

    def _end(self, error: Exception) -> None:
        """Close the connection, and fail every open request."""
        if self._ended is None:
            self._ended = error
            self._socket.close()
            for number, inbox in self._inboxes.items():
                inbox.append(ErrorAnswer(number, error))
