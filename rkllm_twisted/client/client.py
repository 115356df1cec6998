"""The client for Twisted: one method for each method of the daemon, which returns a Deferred."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredQueue, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rkllm_twisted.client.connection import ClientProtocol, OnNotification
from rkllm_twisted.client_core.address import timeout_text
from rkllm_twisted.client_core.call import (
    MethodCall,
    checked_timeout,
    remote_params,
)
from rkllm_twisted.client_core.events import Arrival, ErrorAnswer, FinalAnswer, Part
from rkllm_twisted.client_core.method_table import DaemonMethods
from rkllm_twisted.errors import NoAnswer
from rkllm_twisted.values import OnResults, Params

T = TypeVar("T")


class Client(DaemonMethods, ClientProtocol):
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
        self,
        method: str,
        params: Params = None,
        *,
        timeout: float | None = None,
        on_results: OnResults | None = None,
    ) -> Deferred[Any]:
        """Send any request, such as one for a method of a third party.

        :param timeout: seconds for this call; None means the client's own timeout.
        :param on_results: called with partial results, those that came together at once. What it
            raises cancels the request, and becomes the failure of the Deferred.
        :returns: a Deferred of the result; of a stream, the final one.
        """
        answer: Deferred[Any] = Deferred()

        def on_events(events: list[Arrival]) -> None:
            last = events[-1]
            parts: list[Any] = events if isinstance(last, Part) else events[:-1]
            if on_results is not None and parts:
                try:
                    on_results([part.result for part in parts])
                except Exception:  # noqa: BLE001 - it must not cost the connection
                    answer.errback()
                    return
            if isinstance(last, ErrorAnswer):
                answer.errback(last.error)
            elif isinstance(last, FinalAnswer):
                answer.callback(last.result)

        def leave(failure: Failure) -> Failure:
            self.leave(number)
            return failure

        seconds = checked_timeout(timeout)
        try:
            number = self.ask(method, params, on_events)
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

    def batches(
        self, method: str, params: Params = None, *, timeout: float | None = None
    ) -> AsyncGenerator[Sequence[Any], None]:
        """Send any request, and return its results as :meth:`stream` does, those that came together
        at once.

        A program that passes a stream on writes once for each of them.

        :param timeout: seconds for each batch; None means the client's own timeout.
        """
        return self._batches(method, params, checked_timeout(timeout))

    def _send(self, call: MethodCall[T], /) -> Deferred[T]:
        return self.call(call.method, call.params, timeout=call.timeout).addCallback(call.read)

    async def _stream(self, call: MethodCall[T], /) -> AsyncGenerator[T, None]:
        results = self.stream(call.method, call.params, timeout=call.timeout)
        async with contextlib.aclosing(results):
            async for result in results:
                yield call.read(result)

    async def _results(
        self, method: str, params: Params, timeout: float | None
    ) -> AsyncGenerator[Any, None]:
        async with contextlib.aclosing(self._batches(method, params, timeout)) as batches:
            async for batch in batches:
                for result in batch:
                    yield result

    async def _batches(
        self, method: str, params: Params, timeout: float | None
    ) -> AsyncGenerator[Sequence[Any], None]:
        inbox: DeferredQueue[list[Arrival]] = DeferredQueue()
        number = self.ask(method, params, inbox.put)
        try:
            last: Arrival = Part(number, None)
            while isinstance(last, Part):
                events = await self._limited(inbox.get(), method, timeout)
                last = events[-1]
                results = [event.result for event in events if not isinstance(event, ErrorAnswer)]
                if results:
                    yield results
            if isinstance(last, ErrorAnswer):
                raise last.error
        finally:
            self.leave(number)

    def _limited(self, waiting: Deferred[T], method: str, timeout: float | None) -> Deferred[T]:
        seconds = self.timeout if timeout is None else timeout
        if seconds is None:
            return waiting

        def on_timeout(_: object, seconds: float) -> T:
            raise NoAnswer(timeout_text(self.where, method, seconds))

        return waiting.addTimeout(seconds, self._clock, on_timeout)
