"""The client for Twisted: every method of the daemon as one that gives a Deferred."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredQueue, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rkllm_twisted.client.connection import ClientProtocol, OnNotification
from rkllm_twisted.client_core import calls
from rkllm_twisted.client_core.address import timeout_text
from rkllm_twisted.client_core.events import Answer, Arrival, Failed, Part
from rkllm_twisted.client_core.shape import shaped_like
from rkllm_twisted.errors import NoAnswer
from rkllm_twisted.values import Params

P = ParamSpec("P")
T = TypeVar("T")


def _method(make: Callable[P, calls.Call[T]]) -> Callable[Concatenate[Client, P], Deferred[T]]:
    """Make the client's method for one of the daemon's."""

    @shaped_like(make)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        call = make(*args, **kwargs)
        return self.call(call.method, call.params, timeout=call.timeout).addCallback(call.read)

    return ask


def _stream(
    make: Callable[P, calls.Call[T]],
) -> Callable[Concatenate[Client, P], AsyncGenerator[T, None]]:
    """Make the client's method for one of the daemon's that streams."""

    @shaped_like(make)
    async def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        call = make(*args, **kwargs)
        results = self.stream(call.method, call.params, timeout=call.timeout)
        async with contextlib.aclosing(results):
            async for result in results:
                yield call.read(result)

    return ask


class Client(ClientProtocol):
    """What :func:`rkllm_twisted.client.connect` gives.

    Cancelling a Deferred, a timeout, and leaving an ``async for`` loop cancel their own request and
    nothing else: the connection stays usable. A cancelled Deferred fails with Twisted's
    ``CancelledError``, one whose daemon is gone with an
    :class:`~rkllm_twisted.errors.Unreachable`, every other with the
    :class:`~rkllm_twisted.errors.RPCError` of its code.

    :param where: the daemon's address, for messages.
    :param timeout: seconds to wait for each answer and each partial result; None for as long as
        the daemon takes. A daemon that does not even answer pings is given up in any case.
    :param on_notification: told what belongs to no request.
    """

    def __init__(
        self,
        clock: IReactorTime,
        where: str,
        timeout: float | None = None,
        on_notification: OnNotification | None = None,
    ) -> None:
        super().__init__(clock, where, on_notification)
        self.timeout = timeout

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def call(
        self, method: str, params: Params = None, *, timeout: float | None = None
    ) -> Deferred[Any]:
        """Ask for anything, also for methods that other packages have added.

        :param timeout: seconds for this call; the client's own where left out.
        :returns: a Deferred of the result.
        """
        answer: Deferred[Any] = Deferred()

        def arrived(event: Arrival) -> None:
            if isinstance(event, Failed):
                answer.errback(event.error)
            elif isinstance(event, Answer):
                answer.callback(event.result)

        def left(failure: Failure) -> Failure:
            self.leave(number)
            return failure

        try:
            number = self.ask(method, params, arrived)
        except Exception:  # noqa: BLE001 - the Deferred tells everything
            return fail()
        return self._limited(answer.addErrback(left), method, timeout)

    def callRemote(self, method: str, *args: object, **kwargs: object) -> Deferred[Any]:
        """Ask as in Perspective Broker: parameters by position or by name.

        :raises TypeError: they are given both ways; JSON-RPC knows one or the other.
        """
        if args and kwargs:
            raise TypeError(f"{method} takes parameters by position or by name, not both.")
        return self.call(method, list(args) or kwargs or None)

    async def stream(
        self, method: str, params: Params = None, *, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """Ask, and give each partial result as it comes, and the final one at last.

        A method that does not stream gives its one result. The request is sent when the loop
        begins.

        :param timeout: seconds for each of them; the client's own where left out.
        """
        inbox: DeferredQueue[Arrival] = DeferredQueue()
        number = self.ask(method, params, inbox.put)
        try:
            event: Arrival = Part(number, None)
            while isinstance(event, Part):
                event = await self._limited(inbox.get(), method, timeout)
                if isinstance(event, Failed):
                    raise event.error
                yield event.result
        finally:
            self.leave(number)

    def _limited(self, waiting: Deferred[T], method: str, timeout: float | None) -> Deferred[T]:
        seconds = self.timeout if timeout is None else timeout
        if seconds is None:
            return waiting

        def too_late(_: object, seconds: float) -> T:
            raise NoAnswer(timeout_text(self.where, method, seconds))

        return waiting.addTimeout(seconds, self._clock, too_late)

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
