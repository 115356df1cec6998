"""One connection's side of the talk: its requests under way, its settings, its limits.

Knows neither sockets nor framing: messages come in by :meth:`Conversation.received`, which gives
back the answers that are there at once; the others leave by the ``send`` that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import (
    Busy,
    Cancelled,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    NotAllowed,
    RPCError,
    ShuttingDown,
)
from rkllm_twisted.interfaces import IAdministrative, IConversation, IRPCMethod
from rkllm_twisted.rpc.call import STREAM_FORMS, Answered, BatchReply, Promise, RPCCall, Settings
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.values import Peer
from rkllm_twisted.wire import encoding, jsonrpc
from rkllm_twisted.wire.jsonrpc import Batch, Malformed, Message, Notification, Request

T = TypeVar("T")

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

    :param send: takes each message for the client that comes later, without framing.
    :param idle: called when the last of those is sent, or one to a message that is not small.
    :param max_requests: how many may be under way at once.
    :ivar dispatcher: as given.
    :ivar npu: for the methods, like ``daemon``.
    :ivar send: as given.
    :ivar over: puts an exchange that is over into the log.
    :ivar quiet: methods that leave no line there if they succeed.
    :ivar messages: how many came in.
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
        self.dispatcher = dispatcher
        self.npu = dispatcher.npu
        self.daemon = dispatcher.daemon
        self.send = send
        self.quiet = dispatcher.access_log.quiet
        self.over = partial(dispatcher.access_log.end, peer)
        self._now = dispatcher.access_log.clock
        self._idle = idle
        self._max_requests = max_requests
        self._closed = False
        self._under_way: dict[object, RPCCall] = {}

    @property
    def busy(self) -> bool:
        """Is any message not done yet?"""
        return bool(self._under_way)

    def received(self, payload: bytes) -> bytes | None:
        """Take one message. Whatever it is, this does not raise.

        :returns: its answer, if that is there at once. One that takes longer is sent.
        """
        try:
            return self.take(jsonrpc.parse(payload), len(payload))
        except Exception:  # noqa: BLE001 - a fault of ours costs this message, not the connection
            error = self.dispatcher.explain(Failure(), "a message", self.peer.number)
            return jsonrpc.error(None, error)

    def take(self, message: Message, size: int) -> bytes | None:
        """Take one message that has been read.

        :param size: of its bytes.
        :returns: see :meth:`received`.
        """
        if self._closed:
            return None
        self.messages += 1
        promise = self._promise if size <= SMALL else partial(self._promise, size)
        if type(message) is Batch:
            answers = BatchReply()
            for member in message.members:
                answers.add(self._take(member, answers.promise, in_batch=True))
            answer = answers.whole(promise)
        else:
            answer = self._take(message, promise, in_batch=False)
        return None if self._closed else answer

    def _promise(self, size: int = 0) -> Answered:
        """Say where an answer that is not there yet goes.

        :param size: of its message, if that is not small.
        """
        self.held += size
        return partial(self._deliver, size)

    def _deliver(self, size: int, answer: bytes | None) -> None:
        if answer is not None and not self._closed:
            self.send(answer)
        self.held -= size
        if size or not self._under_way:
            self._idle()

    def _take(self, message: Message, promise: Promise, in_batch: bool) -> bytes | None:
        if type(message) is Request:  # first, because nearly all are
            raw_id: bytes | None = message.id
        elif type(message) is Notification:
            raw_id = None
        elif type(message) is Malformed:
            return jsonrpc.error(message.id, message.error)
        else:  # a reply
            return None
        exchange = RPCCall(
            message.method, raw_id, self._now(), conversation=self, settings=self.settings
        )
        try:
            method = self._admit(message.method, raw_id, in_batch)
            if self.dispatcher.access_log.prompts:
                self.dispatcher.access_log.note_params(exchange, message.params)
            result = self.dispatcher.start(method, message.params, exchange)
            if not isinstance(result, Deferred):
                return exchange.answer(result)
            self._wait(exchange, result, promise)
        except BaseException:  # noqa: BLE001 - whatever it is, as a Deferred would take it
            return self._tell(exchange.refuse, Failure(), exchange)
        else:
            return None

    def _admit(self, name: str, raw_id: bytes | None, in_batch: bool) -> IRPCMethod:
        """Find the method.

        :raises RPCError: it does not exist, or must not be called like this, or not now.
        """
        method = self.dispatcher.methods.get(name)
        if method is None:
            raise MethodNotFound.named(name, self.dispatcher.methods)
        if not self.administers and IAdministrative.providedBy(method):
            raise self._not_allowed(method)
        if in_batch and (method.streams or self._closed):
            raise self._not_in_batch(method)
        if self._under_way:
            self._make_sure_of_room(method, raw_id)
        return method

    def _not_in_batch(self, method: IRPCMethod) -> RPCError:
        if self._closed:  # by an earlier member
            return Cancelled("The connection is closed.")
        return InvalidRequest(
            f"{method.name} streams, so it cannot be in a batch; send it on its own,"
            " or use rkllm.run.",
            {"method": method.name},
        )

    def _make_sure_of_room(self, method: IRPCMethod, raw_id: bytes | None) -> None:
        if raw_id is not None and jsonrpc.id_of(raw_id) in self._under_way:
            raise InvalidRequest("A request with this id is under way; use another.")
        if len(self._under_way) >= self._max_requests and method.name not in NOT_COUNTED:
            raise Busy(
                f"This connection has {len(self._under_way)} requests under way; wait for one.",
                {"queue_length": len(self._under_way)},
            )

    def _not_allowed(self, method: IRPCMethod) -> NotAllowed:
        return NotAllowed(
            f"{method.name} is for this daemon's administrators, and the user with uid"
            f" {self.peer.uid} is none; its options --admin-uid and --admin-gid say who is.",
            {"method": method.name},
        )

    def _wait(self, exchange: RPCCall, work: Deferred[Any], promise: Promise) -> None:
        key = exchange if exchange.id is None else jsonrpc.id_of(exchange.id)
        self._under_way[key] = exchange
        exchange.wait(work, partial(self._leave, key, promise()))
        work.addCallback(exchange.succeed).addErrback(self._failed, exchange)
        if self._closed:  # while it began
            exchange.stop(Cancelled("The connection is closed."))

    def _leave(self, key: object, answered: Answered, answer: bytes | None) -> None:
        del self._under_way[key]
        answered(answer)

    def _failed(self, failure: Failure, exchange: RPCCall) -> None:
        self._tell(exchange.fail, failure, exchange)

    def _tell(self, tell: Callable[[RPCError], T], failure: Failure, exchange: RPCCall) -> T:
        explain, number = self.dispatcher.explain, self.peer.number
        try:
            return tell(explain(failure, exchange.method, number))
        except Exception:  # noqa: BLE001 - the error's data has no JSON form
            return tell(explain(Failure(), exchange.method, number))

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
