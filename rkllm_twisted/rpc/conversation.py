"""One connection's side of the talk: its requests under way, its settings, its limits.

Knows neither sockets nor framing: messages come in by :meth:`Conversation.received` and leave by
the ``send`` that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import (
    Busy,
    Cancelled,
    InvalidParams,
    InvalidRequest,
    NotAllowed,
    RPCError,
    ShuttingDown,
)
from rkllm_twisted.interfaces import IAdministrative, IConversation, IRPCMethod, Peer
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.exchange import STREAM_FORMS, Exchange, Settings
from rkllm_twisted.rpc.journal import Entry
from rkllm_twisted.wire import encoding, jsonrpc
from rkllm_twisted.wire.jsonrpc import Batch, Malformed, Notification, Reply, Request

#: Enough to keep the NPU busy; more would only fill the queue that all clients share.
MAX_REQUESTS = 8
#: What ends or looks at the work under way must get through when there is too much of it.
NOT_COUNTED = frozenset(
    {
        "$/cancelRequest",
        "rkllm.abort",
        "rkllm.is_running",
        "rkllm.pause",
        "server.cancel",
        "server.ping",
        "server.status",
    }
)
#: Bytes of a message that need not be counted while it is under way: there are not that many.
SMALL = 16 * 1024
CHOICES: Mapping[str, tuple[str, ...]] = {
    "stream": tuple(STREAM_FORMS),
    "floats": tuple(encoding.FORMS),
}


def _nothing() -> None:
    """Do nothing."""


@implementer(IConversation)
class Conversation:
    """See :class:`IConversation`.

    :param send: takes each message for the client, without framing.
    :param idle: called whenever all messages that came are answered, or one that is not small.
    :param max_requests: how many may be under way at once.
    :ivar held: bytes of the messages that are not answered yet, small ones left aside.
    :param administers: may it call what is administrative?
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        peer: Peer,
        send: Callable[[bytes], None],
        idle: Callable[[], None] = _nothing,
        max_requests: int = MAX_REQUESTS,
        administers: bool = True,
    ) -> None:
        self.peer = peer
        self.administers = administers
        self.settings = Settings()
        self.messages = 0
        self.held = 0
        self._dispatcher = dispatcher
        self._journal = dispatcher.journal
        self._send = send
        self._idle = idle
        self._max_requests = max_requests
        self._unanswered = 0
        self._closed = False
        self._under_way: dict[object, Exchange] = {}

    @property
    def busy(self) -> bool:
        """Is any message not done yet?"""
        return self._unanswered > 0

    def received(self, payload: bytes) -> None:
        """Take one message. Whatever it is, this does not raise."""
        self._receive(lambda: jsonrpc.parse(payload), len(payload))

    def take(self, message: jsonrpc.Message, size: int) -> None:
        """Take one message that has been read elsewhere.

        :param size: of its bytes.
        """
        self._receive(lambda: message, size)

    def _receive(self, read: Callable[[], jsonrpc.Message], size: int) -> None:
        if self._closed:
            return
        size = size if size > SMALL else 0
        self.messages += 1
        self._unanswered += 1
        self.held += size
        try:
            answer = self._take(read())
        except Exception:  # noqa: BLE001 - a fault of ours costs this message, not the connection
            error = self._dispatcher.explain(Failure(), "a message", self.peer.number)
            answer = succeed(jsonrpc.error(None, error))
        answer.addCallback(self._deliver, size)

    def _take(self, message: jsonrpc.Message) -> Deferred[bytes | None]:
        if not isinstance(message, Batch):
            return self._single(message, in_batch=False)
        answers = [self._single(member, in_batch=True) for member in message.members]
        return gatherResults(answers).addCallback(_join)

    def _deliver(self, answer: bytes | None, size: int) -> None:
        if answer is not None and not self._closed:
            self._send(answer)
        self._unanswered -= 1
        self.held -= size
        if size or not self._unanswered:
            self._idle()

    def _single(self, message: jsonrpc.Single, in_batch: bool) -> Deferred[bytes | None]:
        if isinstance(message, Reply):
            return succeed(None)
        if isinstance(message, Malformed):
            return succeed(jsonrpc.error(message.id, message.error))
        raw_id = message.id if isinstance(message, Request) else None
        entry = self._journal.begin(message.method, raw_id)
        exchange = Exchange(entry, self.settings, self._send, self._over)
        try:
            method = self._admit(message, in_batch)
        except RPCError as error:
            exchange.fail(error)
        else:
            self._start(exchange, method, message)
        return exchange.answer

    def _over(self, entry: Entry) -> None:
        self._journal.end(self.peer, entry)

    def _admit(self, message: Request | Notification, in_batch: bool) -> IRPCMethod:
        """Find the method.

        :raises RPCError: it does not exist, or must not be called like this, or not now.
        """
        if self._closed:  # by an earlier member of the batch
            raise Cancelled("The connection is closed.")
        method = self._dispatcher.method(message.method)
        if not self.administers and IAdministrative.providedBy(method):
            raise self._not_allowed(method)
        if in_batch and method.streams:
            raise InvalidRequest(
                f"{method.name} streams, so it cannot be in a batch; send it on its own,"
                " or use rkllm.run.",
                {"method": method.name},
            )
        if isinstance(message, Request) and jsonrpc.id_of(message.id) in self._under_way:
            raise InvalidRequest("A request with this id is under way; use another.")
        if len(self._under_way) >= self._max_requests and method.name not in NOT_COUNTED:
            raise Busy(
                f"This connection has {len(self._under_way)} requests under way; wait for one.",
                {"queue_length": len(self._under_way)},
            )
        return method

    def _not_allowed(self, method: IRPCMethod) -> NotAllowed:
        return NotAllowed(
            f"{method.name} is for this daemon's administrators, and the user with uid"
            f" {self.peer.uid} is none; its options --admin-uid and --admin-gid say who is.",
            {"method": method.name},
        )

    def _start(
        self, exchange: Exchange, method: IRPCMethod, message: Request | Notification
    ) -> None:
        self._journal.note_params(exchange.entry, message.params)
        key = jsonrpc.id_of(message.id) if isinstance(message, Request) else exchange
        self._under_way[key] = exchange
        exchange.answer.addCallback(self._ended, key)

        def failed(failure: Failure) -> None:
            exchange.fail(self._dispatcher.explain(failure, method.name, self.peer.number))

        work = self._dispatcher.start(method, message.params, self, exchange)
        # Twice: a result, and then an error's data, may turn out to have no JSON form.
        exchange.attach(work.addCallback(exchange.succeed).addErrback(failed).addErrback(failed))

    def _ended(self, answer: bytes | None, key: object) -> bytes | None:
        del self._under_way[key]
        return answer

    def configure(self, settings: Mapping[str, str]) -> Mapping[str, str]:
        """See :meth:`IConversation.configure`."""
        for name, value in settings.items():
            if name not in CHOICES:
                names = ", ".join(CHOICES)
                raise InvalidParams(
                    f"There is no setting {name!r}; there are: {names}.", {"parameter": name}
                )
            if value not in CHOICES[name]:
                values = " or ".join(CHOICES[name])
                raise InvalidParams(f"{name} may be {values}.", {"parameter": name})
        self.settings = attrs.evolve(self.settings, **settings)
        return attrs.asdict(self.settings)

    def cancel(self, request_id: object) -> bool:
        """See :meth:`IConversation.cancel`."""
        if isinstance(request_id, bool) or not isinstance(
            request_id, (str, int, float, type(None))
        ):
            return False
        exchange = self._under_way.get(request_id)
        if exchange is None:
            return False
        exchange.stop(Cancelled("The request was cancelled."))
        return True

    def close(self) -> None:
        """Cancel everything: the client has left."""
        self._closed = True
        self._stop_all(Cancelled("The client has left."))

    def shut_down(self) -> None:
        """Answer everything with an error: the daemon is stopping."""
        self._stop_all(ShuttingDown("The daemon is stopping; try again when it is back."))
        self._closed = True

    def _stop_all(self, reason: RPCError) -> None:
        for exchange in list(self._under_way.values()):
            exchange.stop(reason)


def _join(answers: list[bytes | None]) -> bytes | None:
    """Make a batch's answer; one of notifications only has none."""
    real = [answer for answer in answers if answer is not None]
    return jsonrpc.batch(real) if real else None
