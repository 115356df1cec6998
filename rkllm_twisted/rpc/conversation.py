"""One connection's side of the talk: its requests under way, its settings, its limits.

Knows neither sockets nor framing: messages come in by :meth:`Conversation.received` and leave by
the ``send`` that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import attrs
from twisted.internet.defer import Deferred
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
from rkllm_twisted.interfaces import IAdministrative, IConversation, IRPCMethod, Params, Peer
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.exchange import STREAM_FORMS, Answered, Answers, Exchange, Settings
from rkllm_twisted.wire import encoding, jsonrpc
from rkllm_twisted.wire.jsonrpc import Batch, Message, Notification, Reply, Request

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
        self._now = dispatcher.journal.clock
        self._over = partial(dispatcher.journal.end, peer)
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
        self._receive(jsonrpc.parse, payload, len(payload))

    def take(self, message: Message, size: int) -> None:
        """Take one message that has been read elsewhere.

        :param size: of its bytes.
        """
        self._receive(lambda _: message, b"", size)

    def _receive(self, read: Callable[[bytes], Message], payload: bytes, size: int) -> None:
        if self._closed:
            return
        answered: Answered = self._deliver
        if size > SMALL:
            self.held += size
            answered = partial(self._deliver, size=size)
        self.messages += 1
        self._unanswered += 1
        try:
            self._take(read(payload), answered)
        except Exception:  # noqa: BLE001 - a fault of ours costs this message, not the connection
            error = self._dispatcher.explain(Failure(), "a message", self.peer.number)
            answered(jsonrpc.error(None, error))

    def _deliver(self, answer: bytes | None, size: int = 0) -> None:
        if answer is not None and not self._closed:
            self._send(answer)
        self._unanswered -= 1
        self.held -= size
        if size or not self._unanswered:
            self._idle()

    def _take(self, message: Message, answered: Answered, in_batch: bool = False) -> None:
        if isinstance(message, Request):  # first, because nearly all are
            self._call(message, message.id, answered, in_batch)
        elif isinstance(message, Notification):
            self._call(message, None, answered, in_batch)
        elif isinstance(message, Batch):
            answers = Answers(len(message.members), answered)
            for place, member in enumerate(message.members):
                self._take(member, partial(answers.put, place), in_batch=True)
        elif isinstance(message, Reply):
            answered(None)
        else:
            answered(jsonrpc.error(message.id, message.error))

    def _call(
        self,
        message: Request | Notification,
        raw_id: bytes | None,
        answered: Answered,
        in_batch: bool,
    ) -> None:
        exchange = Exchange(
            message.method, raw_id, self._now(), self.settings, self._send, answered, self._over
        )
        key = exchange if raw_id is None else jsonrpc.id_of(raw_id)
        try:
            method = self._admit(message.method, key, in_batch)
        except RPCError as error:
            exchange.fail(error)
        else:
            exchange.enter(self._under_way, key)
            self._start(exchange, method, message.params)

    def _admit(self, name: str, key: object, in_batch: bool) -> IRPCMethod:
        """Find the method.

        :param key: what the request will be known by.
        :raises RPCError: it does not exist, or must not be called like this, or not now.
        """
        if self._closed:  # by an earlier member of the batch
            raise Cancelled("The connection is closed.")
        method = self._dispatcher.method(name)
        if not self.administers and IAdministrative.providedBy(method):
            raise self._not_allowed(method)
        if in_batch and method.streams:
            raise InvalidRequest(
                f"{method.name} streams, so it cannot be in a batch; send it on its own,"
                " or use rkllm.run.",
                {"method": method.name},
            )
        if key in self._under_way:
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

    def _start(self, exchange: Exchange, method: IRPCMethod, params: Params) -> None:
        if self._journal.prompts:
            self._journal.note_params(exchange, params)
        try:
            result = self._dispatcher.start(method, params, self, exchange)
            if isinstance(result, Deferred):
                result.addCallback(exchange.succeed).addErrback(self._failed, exchange, method)
                exchange.attach(result)
            else:
                exchange.succeed(result)
        except BaseException:  # noqa: BLE001 - whatever it is, as a Deferred would take it
            self._failed(Failure(), exchange, method)

    def _failed(self, failure: Failure, exchange: Exchange, method: IRPCMethod) -> None:
        error = self._dispatcher.explain(failure, method.name, self.peer.number)
        try:
            exchange.fail(error)
        except Exception:  # noqa: BLE001 - the error's data has no JSON form
            exchange.fail(self._dispatcher.explain(Failure(), method.name, self.peer.number))

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
