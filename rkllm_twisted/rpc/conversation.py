"""One client's requests under way, its settings and its limits.

It knows neither sockets nor framing. :meth:`Conversation.received` takes a message and returns the
answer if it is there at once; later answers go to the function ``send`` of the constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
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
from rkllm_twisted.interfaces import IAdministrative, IConversation, IRPCMethod
from rkllm_twisted.rpc.access_log import LogEntry
from rkllm_twisted.rpc.call import (
    LATER,
    STREAM_FORMS,
    BatchReply,
    Later,
    OnReply,
    RPCCall,
    Settings,
)
from rkllm_twisted.rpc.dispatch import MAX_NAME_CHARS, Dispatcher, forget_frames
from rkllm_twisted.rpc.limits import DEFAULTS, Limits
from rkllm_twisted.values import Peer
from rkllm_twisted.wire import encoding, jsonrpc
from rkllm_twisted.wire.jsonrpc import Batch, Malformed, Message, Notification, Request

#: Bytes of a message that need not be counted while it is under way: there are not that many.
SMALL_MESSAGE_BYTES = 16 * 1024
CHOICES: Mapping[str, tuple[str, ...]] = {
    "stream": tuple(STREAM_FORMS),
    "floats": tuple(encoding.FORMS),
}


def _nothing() -> None:
    """Do nothing."""


@implementer(IConversation)
class Conversation:
    """See :class:`IConversation`.

    :param send: takes messages for the client that come later, without framing.
    :param idle: called when the last of those is sent, or one to a message that is not small.
    :param limits: of the connection.
    :ivar dispatcher: as given.
    :ivar npu: for the methods, like ``daemon``.
    :ivar send: as given.
    :ivar messages: how many came in.
    :ivar held: bytes of the messages that are not answered yet, without the small ones.
    :param administers: True if the client may call administrative methods.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        peer: Peer,
        send: Callable[[list[bytes]], None],
        idle: Callable[[], None] = _nothing,
        limits: Limits = DEFAULTS,
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
        self._now = dispatcher.access_log.clock
        self._idle = idle
        self._limits = limits
        self._closed = False
        self._under_way: dict[object, RPCCall] = {}

    @property
    def busy(self) -> bool:
        """True if any message is not answered yet."""
        return bool(self._under_way)

    def received(self, payload: bytes) -> bytes | None:
        """Handle one message. This never raises.

        :returns: its answer, if that is there at once. One that takes longer is sent.
        """
        try:
            return self.take(jsonrpc.parse(payload), len(payload))
        except Exception:  # noqa: BLE001 - a fault of ours costs this message, not the connection
            error = self.dispatcher.explain(Failure(), "a message", self.peer.number)
            return jsonrpc.error(None, error)

    def take(self, message: Message, size: int) -> bytes | None:
        """Handle one message that has been parsed.

        :param size: of its bytes.
        :returns: see :meth:`received`.
        """
        if self._closed:
            return None
        self.messages += 1
        on_reply = (
            self._deliver if size <= SMALL_MESSAGE_BYTES else partial(self._deliver, size=size)
        )
        if type(message) is Batch:
            reply = self._take_batch(message, on_reply)
        else:
            reply = self._take(message, on_reply, in_batch=False)
        if reply is LATER:
            self.held += 0 if size <= SMALL_MESSAGE_BYTES else size
            return None
        return None if self._closed else reply

    def _take_batch(self, batch: Batch, on_reply: OnReply) -> bytes | Later | None:
        replies = BatchReply(len(batch.members), self._limits.max_batch_reply)
        for place, member in enumerate(batch.members):
            on_member = partial(replies.put, place)
            if replies.is_full and type(member) is Request:
                reply: bytes | Later | None = jsonrpc.error(member.id, replies.full_error())
            else:
                reply = self._take(member, on_member, in_batch=True)
            if reply is not LATER:
                on_member(reply)
        return replies.reply(on_reply)

    def _deliver(self, reply: bytes | None, size: int = 0) -> None:
        """Send a reply that was not there at once.

        :param size: of its message, if that is not small.
        """
        if reply is not None and not self._closed:
            self.send([reply])
        self.held -= size
        if size or not self._under_way:
            self._idle()

    def _take(self, message: Message, on_reply: OnReply, in_batch: bool) -> bytes | Later | None:
        if type(message) is Request:  # first, because nearly all are
            raw_id: bytes | None = message.id
        elif type(message) is Notification:
            raw_id = None
        elif type(message) is Malformed:
            return jsonrpc.error(message.id, message.error)
        else:  # a reply
            return None
        dispatcher, name = self.dispatcher, message.method
        call = RPCCall(
            conversation=self,
            dispatcher=dispatcher,
            entry=LogEntry(name, raw_id, self._now(), name in dispatcher.quiet),
            settings=self.settings,
            send=self.send,
        )
        method = dispatcher.methods.get(name)
        if method is None:
            return call.refuse(*dispatcher.not_found(name[:MAX_NAME_CHARS]))
        try:
            self._admit(method, raw_id, in_batch)
            if dispatcher.access_log.prompts:
                dispatcher.access_log.note_params(call.entry, message.params)
            result = dispatcher.start(method, message.params, call)
            if not isinstance(result, Deferred):
                return call.answer(result)
            self._wait(call, result, on_reply)
        except RPCError as error:
            return self._refuse(call, error)
        except BaseException:  # noqa: BLE001 - whatever it is, as a Deferred would take it
            return self._refuse(call, self._explain(Failure(), call))
        else:
            return LATER

    def _admit(self, method: IRPCMethod, raw_id: bytes | None, in_batch: bool) -> None:
        """Raise RPCError if the method must not be called like this, or not now."""
        if not self.administers and IAdministrative.providedBy(method):
            raise NotAllowed.administrative(method.name, self.peer.uid)
        if in_batch and (method.streams or self._closed):
            raise self._not_in_batch(method)
        if self._under_way:
            self._make_sure_of_room(method, raw_id)

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
        count = len(self._under_way)
        if count >= self._limits.max_requests and method.name not in self.dispatcher.uncounted:
            raise Busy(
                f"This connection has {count} requests under way; wait for one.",
                {"queue_length": count},
            )

    def _wait(self, call: RPCCall, work: Deferred[Any], on_reply: OnReply) -> None:
        raw_id = call.entry.id
        key = call if raw_id is None else jsonrpc.id_of(raw_id)
        self._under_way[key] = call
        call.wait(work, partial(self._leave, key, on_reply))
        work.addBoth(self._ended, call)
        if self._closed:  # while it began
            call.cancel(Cancelled("The connection is closed."))

    def _leave(self, key: object, on_reply: OnReply, reply: bytes | None) -> None:
        del self._under_way[key]
        on_reply(reply)

    def _ended(self, result: object, call: RPCCall) -> None:
        if isinstance(result, Failure):
            self._failed(result, call)
            return
        try:
            call.succeed(result)
        except BaseException:  # noqa: BLE001 - the result has no JSON form; or as a Deferred takes it
            self._failed(Failure(), call)

    def _failed(self, failure: Failure, call: RPCCall) -> None:
        if not call.is_open and failure.check(RPCError, CancelledError):
            return  # it was cancelled, so it has its answer
        error = self._explain(failure, call)
        try:
            call.fail(error)
        except Exception:  # noqa: BLE001 - the error's data has no JSON form
            forget_frames(error)
            call.fail(self._explain(Failure(), call))

    def _refuse(self, call: RPCCall, error: RPCError) -> bytes | None:
        try:
            return call.refuse(error)
        except Exception:  # noqa: BLE001 - the error's data has no JSON form
            forget_frames(error)
            return call.refuse(self._explain(Failure(), call))

    def _explain(self, failure: Failure, call: RPCCall) -> RPCError:
        return self.dispatcher.explain(failure, call.entry.method, self.peer.number)

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
        call = self._under_way.get(request_id)
        if call is None:
            return False
        call.cancel(Cancelled("The request was cancelled."))
        return True

    def close(self) -> None:
        """Cancel everything: the client has left."""
        self._closed = True
        self._cancel_all(Cancelled("The client has left."))

    def shut_down(self) -> None:
        """Answer everything with an error: the daemon is stopping."""
        self._cancel_all(ShuttingDown("The daemon is stopping; try again when it is back."))
        self._closed = True

    def _cancel_all(self, reason: RPCError) -> None:
        for call in list(self._under_way.values()):
            call.cancel(reason)
