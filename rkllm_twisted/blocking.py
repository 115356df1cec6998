"""A client without a reactor, for scripts, threads and terminals::

    with Client() as client:
        for chunk in client.run_async("Hello"):
            print(chunk.text, end="")

It imports neither Twisted nor zope.interface; what reads and writes JSON is imported by the first
client that is made, and what makes results of it by the first run. So a program that only may have
something to ask starts as soon as one that has not.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from rkllm_twisted.client_core import calls
from rkllm_twisted.client_core.address import (
    PATIENCE,
    QUIET,
    default_socket,
    lost_error,
    silent_text,
    timeout_text,
)
from rkllm_twisted.client_core.events import Answer, Arrival, Failed, Notified, Part
from rkllm_twisted.client_core.shape import shaped_like
from rkllm_twisted.client_core.unix_socket import UNIXSocket, without_interrupts
from rkllm_twisted.errors import Closed, NoAnswer, Unreachable

if TYPE_CHECKING:
    from rkllm_twisted.values import Params

__all__ = ["Client", "Unreachable", "default_socket"]

P = ParamSpec("P")
T = TypeVar("T")


def _method(make: Callable[P, calls.Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """Make the client's method for one of the daemon's."""

    @shaped_like(make)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = make(*args, **kwargs)
        return call.read(self.call(call.method, call.params, timeout=call.timeout))

    return ask


def _stream(make: Callable[P, calls.Call[T]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    """Make the client's method for one of the daemon's that streams."""

    @shaped_like(make)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        call = make(*args, **kwargs)
        results = self.stream(call.method, call.params, timeout=call.timeout)
        with contextlib.closing(results):
            yield from map(call.read, results)

    return ask


class Client:
    """One connection to a daemon, for one thread at a time.

    Whatever ends a call early (a timeout, Ctrl-C, leaving a loop) cancels its request and nothing
    else: the connection stays usable.

    :param path: of the daemon's socket; ``$RKLLM_UDS_PATH`` or ``/tmp/rkllm.sock`` where left out.
    :param timeout: seconds to wait for each answer and each partial result; None for as long as
        the daemon takes. A daemon that does not even answer pings is given up in any case.
    :raises Unreachable: there is no daemon, or it may not be used.
    :raises RPCError: the daemon refuses the connection.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, timeout: float | None = None
    ) -> None:
        from rkllm_twisted.client_core.connection import ClientConnection  # noqa: PLC0415 - see the module

        self.path = os.fspath(path or default_socket()).removeprefix("unix:")
        self.timeout = timeout
        self._caller = ClientConnection(self.path)
        self._inboxes: dict[int, deque[Arrival]] = {}
        self._ended: Exception | None = None
        self._pipe = UNIXSocket(self.path, self._take)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

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
        self._end(Closed("This client is closed; make another."))

    def call(self, method: str, params: Params = None, *, timeout: float | None = None) -> Any:
        """Ask, and wait for the one answer.

        :param timeout: seconds for this call; the client's own where left out.
        :returns: the result.
        :raises RPCError: the daemon's error, as the class of its code.
        :raises Unreachable: the connection broke, or the answer did not come in time.
        """
        result = None
        for result in self.stream(method, params, timeout=timeout):  # noqa: B007 - the last counts
            pass
        return result

    def stream(
        self, method: str, params: Params = None, *, timeout: float | None = None
    ) -> Generator[Any, None, None]:
        """Ask, and give each partial result as it comes, and the final one at last.

        A method that does not stream gives its one result.

        :param timeout: seconds for each of them; the client's own where left out.
        :raises RPCError, Unreachable: as :meth:`call`.
        """
        number = 0
        try:
            with without_interrupts():
                number = self._ask(*self._caller.ask(method, params))
            event: Arrival = Part(number, None)
            while isinstance(event, Part):
                event = self._next(number, method, timeout)
                yield event.result
        finally:
            self._leave(number)

    run_async = _stream(calls.run_async)
    init = _method(calls.init)
    run = _method(calls.run)
    abort = _method(calls.abort)
    pause = _method(calls.pause)
    is_running = _method(calls.is_running)
    destroy = _method(calls.destroy)
    load_lora = _method(calls.load_lora)
    load_prompt_cache = _method(calls.load_prompt_cache)
    release_prompt_cache = _method(calls.release_prompt_cache)
    clear_kv_cache = _method(calls.clear_kv_cache)
    get_kv_cache_size = _method(calls.get_kv_cache_size)
    set_chat_template = _method(calls.set_chat_template)
    set_function_tools = _method(calls.set_function_tools)
    set_cross_attn_params = _method(calls.set_cross_attn_params)
    create_default_param = _method(calls.create_default_param)
    get_constants = _method(calls.get_constants)
    status = _method(calls.status)
    version = _method(calls.version)
    ping = _method(calls.ping)
    configure = _method(calls.configure)

    def _greet(self) -> None:
        number = self._ask(*self._caller.greet())
        if not self._wait(self._inboxes[number], PATIENCE):
            raise NoAnswer(silent_text(self.path))
        self._next(number, "server.configure", None)
        del self._inboxes[number]

    def _ask(self, number: int, data: bytes) -> int:
        """Send a request.

        :raises Exception: what ended the connection.
        """
        if self._ended is not None:
            raise self._ended
        self._inboxes[number] = deque()
        self._pipe.put(data)
        return number

    def _leave(self, number: int) -> None:
        """Forget a request; one that is not answered yet is cancelled."""
        with without_interrupts():
            self._inboxes.pop(number, None)
            self._pipe.put(self._caller.cancel(number))

    def _next(self, number: int, method: str, timeout: float | None) -> Part | Answer:
        """Give what came next for a request.

        :raises RPCError, Unreachable: it failed.
        """
        inbox = self._inboxes[number]
        seconds = self.timeout if timeout is None else timeout
        if not self._wait(inbox, math.inf if seconds is None else seconds):
            raise NoAnswer(timeout_text(self.path, method, seconds or 0))
        event = inbox.popleft()
        if isinstance(event, Failed):
            raise event.error
        assert isinstance(event, Part | Answer)
        return event

    def _wait(self, inbox: deque[Arrival], seconds: float) -> bool:
        """Wait until there is something in the inbox, and tell whether there is.

        A daemon from which nothing comes for a while is pinged; one that does not answer is gone.
        """
        now = time.monotonic()
        deadline, quiet, pinged = now + seconds, now + QUIET, False
        while not inbox and now < deadline:
            if self._pipe.turn(min(deadline, quiet) - now):
                quiet, pinged = time.monotonic() + QUIET, False
            elif (now := time.monotonic()) >= quiet:
                if pinged:
                    self._end(NoAnswer(silent_text(self.path)))
                else:
                    self._pipe.put(self._caller.ask("server.ping")[1])
                    quiet, pinged = now + PATIENCE, True
            now = time.monotonic()
        return bool(inbox)

    def _take(self, data: bytes) -> None:
        """Take what was read; nothing is the end."""
        for event in self._caller.feed(data):
            if isinstance(event, Notified):
                continue
            if event.id is None:
                self._end(event.error)
            elif event.id in self._inboxes:
                self._inboxes[event.id].append(event)
        if not data:
            self._end(lost_error(self.path))

    def _end(self, error: Exception) -> None:
        """Let everything fail that is not answered."""
        if self._ended is None:
            self._ended = error
            self._pipe.close()
            for number, inbox in self._inboxes.items():
                inbox.append(Failed(number, error))
