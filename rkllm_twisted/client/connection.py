"""The Twisted protocol of a client: it sends requests, and passes on what comes for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from rkllm_twisted.client_core.address import PING_AFTER_S, PING_TIMEOUT_S, lost_error, silent_text
from rkllm_twisted.client_core.connection import ClientConnection
from rkllm_twisted.client_core.events import Arrival, ErrorAnswer, Notified, Part
from rkllm_twisted.errors import Closed, NoAnswer
from rkllm_twisted.server.bare_socket import is_bare, unsent
from rkllm_twisted.values import Params

#: Called with what comes for one request: all that is read at once, in order.
OnEvents = Callable[[list[Arrival]], object]
#: Called with the method and parameters of a notification that belongs to no request.
OnNotification = Callable[[str, Params], object]

_log = Logger("rkllm.client")


def _ignore(method: str, params: Params) -> None:
    """Ignore a notification."""


class _OneTimeEvent:
    """An event that happens once, as a success or a failure, and that any number may wait for."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []
        self._result: Callable[[], Deferred[None]] | None = None

    def wait(self) -> Deferred[None]:
        """Return a Deferred of the event."""
        if self._result is not None:
            return self._result()
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def fire(self, error: Exception | None = None) -> None:
        """Report the event; only the first call counts."""
        if self._result is None:
            self._result = lambda: succeed(None) if error is None else fail(error)
            for waiter in self._waiting:
                self._result().chainDeferred(waiter)


class ClientProtocol(Protocol, TimeoutMixin):
    """Sends requests, and calls each request's function with what comes for it.

    :param where: the daemon's address, for messages.
    :param on_notification: called with each notification that belongs to no request.
    """

    transport: Any  # a stream socket's transport has abortConnection, which ITransport lacks

    def __init__(
        self, clock: IReactorTime, where: str, on_notification: OnNotification | None = None
    ) -> None:
        self.where = where
        self._clock = clock
        self._on_notification = on_notification or _ignore
        self._connection = ClientConnection(where)
        self._on_events: dict[int, OnEvents] = {}
        self._ended: Exception | None = None
        self._greeted = _OneTimeEvent()
        self._lost = _OneTimeEvent()
        self._has_pinged = False
        self._silent_since = 0.0
        self._is_bare = False

    @property
    def state(self) -> str:
        """``connected``, or the sentence that says why not, for a person."""
        return "connected" if self._ended is None else str(self._ended)

    def ready(self) -> Deferred[None]:
        """Wait until the daemon has answered for the first time.

        :raises RPCError: if the daemon refuses the connection.
        :raises Unreachable: if it does not answer, or is not the daemon.
        """
        return self._greeted.wait()

    def close(self) -> Deferred[None]:
        """Close the connection; the daemon cancels the requests that are not answered yet.

        :returns: a Deferred that fires when the connection is closed.
        """
        self._end(Closed("This client is closed; make another one."))
        return self._lost.wait()

    def ask(self, method: str, params: Params, on_events: OnEvents) -> int:
        """Send a request.

        :param on_events: called with partial results; the last event of the last call is the answer
            or the failure.
        :returns: its number, for :meth:`leave`.
        :raises InvalidParams: if the parameters cannot be written as JSON.
        :raises Exception: the error that has ended the connection.
        """
        return self._request(*self._connection.ask(method, params), on_events)

    def leave(self, number: int) -> None:
        """Forget a request, and cancel it if it is not answered yet."""
        self._on_events.pop(number, None)
        data = self._connection.cancel(number)
        if data and self._ended is None:
            self._write(data)

    def _request(self, number: int, data: bytes, on_events: OnEvents) -> int:
        if self._ended is not None:
            raise self._ended
        self._on_events[number] = on_events
        self._write(data)
        self._expect_data()
        return number

    def _write(self, data: bytes) -> None:
        rest = unsent(self.transport, data) if self._is_bare else data
        if rest:
            self.transport.write(rest)

    def connectionMade(self) -> None:
        """Send the greeting; the next requests do not wait for its answer."""
        self._is_bare = is_bare(self.transport)

        def on_events(events: list[Arrival]) -> None:
            (answer,) = events
            self._greeted.fire(answer.error if isinstance(answer, ErrorAnswer) else None)

        self._request(*self._connection.greet(), on_events)
        self._has_pinged = True  # the greeting serves as a ping
        self.setTimeout(PING_TIMEOUT_S)

    def dataReceived(self, data: bytes) -> None:
        """Process the bytes that were read."""
        came: dict[int, list[Arrival]] = {}
        failure = None
        for event in self._connection.feed(data):
            if isinstance(event, Notified):
                self._notify(event)
            elif event.id is None:
                failure = event
            elif event.id in came:
                came[event.id].append(event)
            else:
                came[event.id] = [event]
        for number, events in came.items():
            self._pass_on(number, events)
        if failure is not None:
            self._end(failure.error)
        self._expect_data()

    def _notify(self, event: Notified) -> None:
        try:
            self._on_notification(event.method, event.params)
        except Exception:  # noqa: BLE001 - a fault of the program must not cost the connection
            _log.failure("on_notification failed for {method}", method=event.method)

    def _pass_on(self, number: int, events: list[Arrival]) -> None:
        is_open = isinstance(events[-1], Part)
        functions = self._on_events
        on_events = functions.get(number) if is_open else functions.pop(number, None)
        if on_events is not None:
            on_events(events)

    def _expect_data(self) -> None:
        """Note the time. One timer serves many requests and tokens: it looks when it fires."""
        self._has_pinged = False
        self._silent_since = self._clock.seconds()
        if self.timeOut is None and self._on_events:
            self.setTimeout(PING_AFTER_S)

    def timeoutConnection(self) -> None:
        """Send a ping to a silent daemon; give up a daemon that does not answer the ping.

        Only silence ends a wait, because how long a run may take is for the daemon to decide.
        """
        left_s = self._silent_since + PING_AFTER_S - self._clock.seconds()
        if self._has_pinged:
            self._end(NoAnswer(silent_text(self.where)))
        elif not self._on_events:
            self.setTimeout(None)
        elif left_s > 0:
            self.setTimeout(left_s)
        else:
            self._has_pinged = True
            self._write(self._connection.ask("server.ping")[1])
            self.setTimeout(PING_TIMEOUT_S)

    def callLater(self, period: float, func: Callable[[], None]) -> Any:
        """See :class:`TimeoutMixin`; this uses the client's clock."""
        return self._clock.callLater(period, func)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail every request that is not answered yet."""
        self._end(lost_error(self.where))
        self._lost.fire()

    def _end(self, error: Exception) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self.setTimeout(None)
        self.transport.abortConnection()  # a daemon that does not read must not keep it open
        functions, self._on_events = self._on_events, {}
        for number, on_events in functions.items():
            on_events([ErrorAnswer(number, error)])
