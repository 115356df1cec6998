"""The client for Twisted: one method for each method of the daemon, which returns a Deferred."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredQueue, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rkllm_twisted.client.connection import ClientProtocol, OnNotification
from rkllm_twisted.client_core import inference_methods, methods, model_methods, sequence_method
from rkllm_twisted.client_core.address import timeout_text
from rkllm_twisted.client_core.call import (
    MethodCall,
    checked_timeout,
    like_function,
    remote_params,
)
from rkllm_twisted.client_core.events import Arrival, ErrorAnswer, FinalAnswer, Part
from rkllm_twisted.errors import NoAnswer
from rkllm_twisted.values import Params

P = ParamSpec("P")
T = TypeVar("T")


def _method(make: Callable[P, MethodCall[T]]) -> Callable[Concatenate[Client, P], Deferred[T]]:
    """Make the client's method for a function of :mod:`~rkllm_twisted.client_core.methods`."""

    @like_function(make, "Deferred")
    def send(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        call = make(*args, **kwargs)
        return self.call(call.method, call.params, timeout=call.timeout).addCallback(call.read)

    return send


def _stream(
    make: Callable[P, MethodCall[T]],
) -> Callable[Concatenate[Client, P], AsyncGenerator[T, None]]:
    """Make the client's method for a function whose method streams."""

    @like_function(make, "AsyncGenerator")
    def send(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        return _read(self, make(*args, **kwargs))

    return send


async def _read(client: Client, call: MethodCall[T]) -> AsyncGenerator[T, None]:
    results = client.stream(call.method, call.params, timeout=call.timeout)
    async with contextlib.aclosing(results):
        async for result in results:
            yield call.read(result)


class Client(ClientProtocol):
    """One connection to a daemon, made by :func:`rkllm_twisted.client.connect`.

    Cancelling a Deferred, a timeout, and leaving an ``async for`` loop cancel their own request and
    nothing else: the connection stays usable. A cancelled Deferred fails with Twisted's
    ``CancelledError``, one whose connection is lost with an
    :class:`~rkllm_twisted.errors.Unreachable`, any other with the
    :class:`~rkllm_twisted.errors.RPCError` of its code.

    :param where: the daemon's address, for messages.
    :param timeout: seconds to wait for each answer and each partial result; None means as long as
        the daemon takes. A daemon that does not even answer pings is given up in any case.
    :param on_notification: called with each notification that belongs to no request.
    """

    def __init__(
        self,
        clock: IReactorTime,
        where: str,
        timeout: float | None = None,
        on_notification: OnNotification | None = None,
    ) -> None:
        super().__init__(clock, where, on_notification)
        self.timeout = checked_timeout(timeout)

    def __repr__(self) -> str:
        return f"<Client of {self.where}, {self.state}>"

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
        """Send any request, such as one for a method of a third party.

        :param timeout: seconds for this call; None means the client's own timeout.
        :returns: a Deferred of the result.
        """
        answer: Deferred[Any] = Deferred()

        def on_event(event: Arrival) -> None:
            if isinstance(event, ErrorAnswer):
                answer.errback(event.error)
            elif isinstance(event, FinalAnswer):
                answer.callback(event.result)

        def leave(failure: Failure) -> Failure:
            self.leave(number)
            return failure

        seconds = checked_timeout(timeout)
        try:
            number = self.ask(method, params, on_event)
        except Exception:  # noqa: BLE001 - any failure belongs to the Deferred
            return fail()
        return self._limited(answer.addErrback(leave), method, seconds)

    def callRemote(self, method: str, *args: object, **kwargs: object) -> Deferred[Any]:
        """Send any request as in Perspective Broker: parameters by position or by name.

        :raises TypeError: if they are given both ways, which JSON-RPC does not allow.
        """
        return self.call(method, remote_params(method, args, kwargs))

    def stream(
        self, method: str, params: Params = None, *, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """Send any request, and return each partial result as it comes, and then the final one.

        A method that does not stream has one result. The request is sent when the loop begins.

        :param timeout: seconds for each result; None means the client's own timeout.
        """
        return self._results(method, params, checked_timeout(timeout))

    async def _results(
        self, method: str, params: Params, timeout: float | None
    ) -> AsyncGenerator[Any, None]:
        inbox: DeferredQueue[Arrival] = DeferredQueue()
        number = self.ask(method, params, inbox.put)
        try:
            event: Arrival = Part(number, None)
            while isinstance(event, Part):
                event = await self._limited(inbox.get(), method, timeout)
                if isinstance(event, ErrorAnswer):
                    raise event.error
                yield event.result
        finally:
            self.leave(number)

    def _limited(self, waiting: Deferred[T], method: str, timeout: float | None) -> Deferred[T]:
        seconds = self.timeout if timeout is None else timeout
        if seconds is None:
            return waiting

        def on_timeout(_: object, seconds: float) -> T:
            raise NoAnswer(timeout_text(self.where, method, seconds))

        return waiting.addTimeout(seconds, self._clock, on_timeout)

    run_async = _stream(methods.run_async)
    chat = _method(inference_methods.chat)
    chat_stream = _stream(inference_methods.chat_stream)
    render_chat = _method(inference_methods.render_chat)
    complete_text = _method(inference_methods.complete_text)
    create_embeddings = _method(inference_methods.create_embeddings)
    score_documents = _method(inference_methods.score_documents)
    encode_tokens = _method(inference_methods.encode_tokens)
    decode_tokens = _method(inference_methods.decode_tokens)
    count_tokens = _method(inference_methods.count_tokens)
    init = _method(methods.init)
    run = _method(methods.run)
    abort = _method(methods.abort)
    pause = _method(methods.pause)
    is_running = _method(methods.is_running)
    destroy = _method(methods.destroy)
    load_lora = _method(methods.load_lora)
    load_prompt_cache = _method(methods.load_prompt_cache)
    release_prompt_cache = _method(methods.release_prompt_cache)
    clear_kv_cache = _method(methods.clear_kv_cache)
    get_kv_cache_size = _method(methods.get_kv_cache_size)
    set_chat_template = _method(methods.set_chat_template)
    set_function_tools = _method(methods.set_function_tools)
    set_cross_attn_params = _method(methods.set_cross_attn_params)
    create_default_param = _method(methods.create_default_param)
    get_constants = _method(methods.get_constants)
    sequence = _method(sequence_method.sequence)
    list_models = _method(model_methods.list_models)
    show_model = _method(model_methods.show_model)
    load_model = _method(model_methods.load_model)
    unload_model = _method(model_methods.unload_model)
    status = _method(methods.status)
    version = _method(methods.version)
    ping = _method(methods.ping)
    configure = _method(methods.configure)
