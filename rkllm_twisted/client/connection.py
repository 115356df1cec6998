"""One connection to a daemon from the client's end: requests out, and what comes back to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from rkllm_twisted.client_core.address import PATIENCE, QUIET, lost_error, silent_text
from rkllm_twisted.client_core.connection import ClientConnection
from rkllm_twisted.client_core.events import Arrival, Failed, Notified, Part
from rkllm_twisted.errors import Closed, NoAnswer
from rkllm_twisted.values import Params

#: Takes what comes for one request.
Sink = Callable[[Arrival], object]
#: Told a notification that belongs to no request: its method and parameters.
OnNotification = Callable[[str, Params], object]


def _ignore(method: str, params: Params) -> None:
    """Be told of a notification, and do nothing."""


class _Moment:
    """Something that comes once, well or not, and that any number may wait for."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []
        self._come: Callable[[], Deferred[None]] | None = None

    def wait(self) -> Deferred[None]:
        """Give a Deferred of it."""
        if self._come is not None:
            return self._come()
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def come(self, error: Exception | None = None) -> None:
        """Let it be there; what comes later counts no more."""
        if self._come is None:
            self._come = lambda: succeed(None) if error is None else fail(error)
            for waiter in self._waiting:
                self._come().chainDeferred(waiter)


class ClientProtocol(Protocol, TimeoutMixin):
    """Sends requests and hands what comes to their sinks.

    :param where: the daemon's address, for messages.
    :param on_notification: told what belongs to no request.
    """

    log = Logger()
    transport: Any  # those of stream sockets have abortConnection, ITransport has not

    def __init__(
        self, clock: IReactorTime, where: str, on_notification: OnNotification | None = None
    ) -> None:
        self.where = where
        self._clock = clock
        self._on_notification = on_notification or _ignore
        self._caller = ClientConnection(where)
        self._sinks: dict[int, Sink] = {}
        self._ended: Exception | None = None
        self._greeted = _Moment()
        self._gone = _Moment()
        self._pinged = False

    def ready(self) -> Deferred[None]:
        """Wait until the daemon has answered for the first time.

        :raises RPCError: it refuses the connection.
        :raises Unreachable: it does not answer, or is no daemon.
        """
        return self._greeted.wait()

    def close(self) -> Deferred[None]:
        """Leave; what was asked for and not answered is cancelled by the daemon.

        :returns: a Deferred that fires when the connection is closed.
        """
        self._end(Closed("This client is closed; make another."))
        return self._gone.wait()

    def ask(self, method: str, params: Params, sink: Sink) -> int:
        """Send a request.

        :param sink: called with each partial result, then once with the answer or the failure.
        :returns: its number, for :meth:`leave`.
        :raises InvalidParams: the parameters have no JSON form.
        :raises Exception: what ended the connection.
        """
        return self._send(*self._caller.ask(method, params), sink)

    def leave(self, number: int) -> None:
        """Forget a request; one that is not answered yet is cancelled."""
        self._sinks.pop(number, None)
        data = self._caller.cancel(number)
        if data and self._ended is None:
            self._write(data)

    def _send(self, number: int, data: bytes, sink: Sink) -> int:
        if self._ended is not None:
            raise self._ended
        self._sinks[number] = sink
        self._write(data)
        self._watch()
        return number

    def _write(self, data: bytes) -> None:
        self.transport.write(data)

    def connectionMade(self) -> None:
        """Greet; what follows need not wait for the answer."""

        def arrived(event: Arrival) -> None:
            self._greeted.come(event.error if isinstance(event, Failed) else None)

        self._send(*self._caller.greet(), arrived)
        self._pinged = True  # a greeting is as good as a ping
        self.setTimeout(PATIENCE)

    def dataReceived(self, data: bytes) -> None:
        """Take what was read."""
        for event in self._caller.feed(data):
            if isinstance(event, Notified):
                self._notified(event)
            elif isinstance(event, Failed) and event.id is None:
                self._end(event.error)
            else:
                self._arrived(event)
        self._watch()

    def _notified(self, event: Notified) -> None:
        try:
            self._on_notification(event.method, event.params)
        except Exception:  # noqa: BLE001 - a listener's fault must not cost the connection
            self.log.failure("the listener to {method} failed", method=event.method)

    def _arrived(self, event: Arrival) -> None:
        assert event.id is not None
        is_part = isinstance(event, Part)
        sink = self._sinks.get(event.id) if is_part else self._sinks.pop(event.id, None)
        if sink is not None:
            sink(event)

    def _watch(self) -> None:
        """Expect a sign of life while something is waited for."""
        self._pinged = False
        self.setTimeout(QUIET if self._sinks else None)

    def timeoutConnection(self) -> None:
        """Ask a silent daemon whether it is there; give up one that does not answer that."""
        if self._pinged:
            self._end(NoAnswer(silent_text(self.where)))
        else:
            self._pinged = True
            self._write(self._caller.ask("server.ping")[1])
            self.setTimeout(PATIENCE)

    def callLater(self, period: float, func: Callable[[], None]) -> Any:
        """For :class:`TimeoutMixin`: on this client's clock."""
        return self._clock.callLater(period, func)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let everything fail that is not answered."""
        self._end(lost_error(self.where))
        self._gone.come()

    def _end(self, error: Exception) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self.setTimeout(None)
        self.transport.abortConnection()  # a daemon that does not read must not keep it open
        sinks, self._sinks = self._sinks, {}
        for number, sink in sinks.items():
            sink(Failed(number, error))
