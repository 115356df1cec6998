"""The daemon's end of a connection: fairness, back-pressure, half-close, and the end.

What a message means is not known here; :class:`~rkllm_twisted.rpc.conversation.Conversation` knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import InternalError, RPCError
from rkllm_twisted.rpc.conversation import Conversation
from rkllm_twisted.server import peer
from rkllm_twisted.server.outbox import Outbox
from rkllm_twisted.server.receive_buffer import ReceiveBuffer
from rkllm_twisted.values import Peer
from rkllm_twisted.wire import jsonrpc
from rkllm_twisted.wire.messages import Malformed, Message
from rkllm_twisted.wire.validation import LIGHT, is_heavy

if TYPE_CHECKING:
    from rkllm_twisted.server.factory import RPCFactory

#: Seconds between two looks at whether a client that waits for an answer is still there.
WATCH = 0.5


@implementer(IHalfCloseableProtocol)
class RPCProtocol(ReceiveBuffer):
    """One connection. Its first byte decides its framing for good; replies go out in kind.

    :param number: the connection's name in the log.
    """

    log = Logger()
    conversation: Conversation

    def __init__(self, factory: RPCFactory, number: int) -> None:
        super().__init__(factory.limits.max_length)
        self.factory = factory
        self.peer = Peer(number)
        self._refusal: RPCError | None = None
        self._not_reading: set[str] = set()
        self._timers: dict[str, IDelayedCall] = {}
        self._pumping = False
        self._ending = False
        #: A big message, while it is read elsewhere: those behind it wait.
        self._reading: Deferred[Message] | None = None
        self._reading_size = 0
        #: What it was last said to hold.
        self._noted = 0

    def connectionMade(self) -> None:
        """Learn who it is, and whether the daemon has room for it."""
        limits, reactor = self.factory.limits, self.factory.reactor
        self.peer = peer.peer_of(self.peer.number, self.transport)
        self._outbox = Outbox(self.transport, reactor, limits, self._hold_unread, self._drop)
        self.conversation = Conversation(
            self.factory.dispatcher,
            self.peer,
            self._send,
            self._settle,
            limits.max_requests,
            self.factory.administers(self.peer),
        )
        self._refusal = self.factory.opened(self)
        if self._refusal is not None:  # it is told in its own framing, once that is known
            self._later("linger", limits.linger, self.abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cancel what is under way: the client is gone."""
        self._ending = True
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._outbox.stopProducing()
        self.conversation.close()
        self._forget()
        self.factory.rounds.leave(self)
        self.factory.hold.note(self, 0)
        self.factory.closed(self)

    def readConnectionLost(self) -> None:
        """Half-closed: the client still gets its answers. Or gone: then it does not."""
        self.input_ended = True
        self._watch()

    def writeConnectionLost(self) -> None:
        """Nothing can be sent any more."""
        self.abort()

    def abort(self) -> None:
        """Close now, whatever has not been read."""
        self._ending = True
        self.transport.abortConnection()

    def shut_down(self) -> None:
        """Answer what is under way with an error, then close."""
        self.conversation.shut_down()
        self._end(self.factory.limits.linger)

    def _end(self, patience: float) -> None:
        """Close once everything is read, or after so many seconds."""
        if not self._ending:
            self._ending = True
            self.conversation.close()
            self._later("linger", patience, self.abort)
            self._outbox.finish(self.transport.loseConnection)

    def _drop(self, reason: str) -> None:
        number = self.peer.number
        self.log.warn("client {number} is dropped: {reason}", number=number, reason=reason)
        self.abort()

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if not self._is_due(name):
            self._timers[name] = self.factory.reactor.callLater(seconds, call)

    def _is_due(self, name: str) -> bool:
        return name in self._timers and self._timers[name].active()

    def dataReceived(self, data: bytes) -> None:
        """Take what was read."""
        if self._ending:
            return
        has_room = self.factory.rounds.has_room_for(self)
        self.put(data, now=has_room)
        if has_room:
            self.work()
        else:
            self._hold("backlog", True)
            self.factory.rounds.ask(self)
            self._note()

    def _note(self) -> None:
        held = self.held
        if held or self._noted:
            self._noted = held
            self.factory.hold.note(self, held)

    def framing_chosen(self) -> None:
        """Turn the client away now, if the daemon has no room for it."""
        if self._refusal is not None:
            self.discard()
            self.broken = self._refusal

    def turn_away(self, error: RPCError) -> None:
        """Forget what came in, tell the client, and close."""
        self._forget()
        self.broken = error
        self._settle()

    def _forget(self) -> None:
        self.discard()
        if self._reading is not None:
            self._reading.cancel()

    @property
    def held(self) -> int:
        """How many bytes came in and are not answered; of what is under way, big messages only."""
        return super().held + self._reading_size + self.conversation.held

    def work(self) -> None:
        """Hand over some messages; the others wait for the reactor's next turn."""
        if self._pumping:
            return
        self._pumping = True
        may_go_on = self.factory.rounds.may_go_on
        self.factory.rounds.begin()
        self._outbox.gather()
        messages = self._messages
        for _ in range(self.factory.limits.messages_per_turn):
            if self._ending or self._reading or "unread" in self._not_reading:
                break
            if not messages and not self.has_message(may_go_on):
                break
            self._receive(self.take())
            if not (messages or self._unparsed or self.input_ended) or not may_go_on():
                break
        self._outbox.flush()
        self._pumping = False
        if not self._is_at_rest():
            self._settle()
        may_go_on()

    def _is_at_rest(self) -> bool:
        """Is everything answered, as nearly always? Then there is nothing to settle."""
        is_read = self.is_empty() and not (self._noted or self._not_reading or self._reading)
        return is_read and not (self.input_ended or self.broken or self.conversation.busy)

    def _receive(self, payload: bytes) -> None:
        read = self.factory.read_elsewhere
        if len(payload) > LIGHT and read is not None and is_heavy(payload):
            self._reading_size = len(payload)
            self._reading = message = read(payload)
            message.addErrback(_unreadable).addCallback(self._has_read)
            return
        answer = self.conversation.received(payload)
        if answer is not None:
            self._outbox.send(self.frame(answer))

    def _has_read(self, message: Message | None) -> None:
        size, self._reading, self._reading_size = self._reading_size, None, 0
        answer = None if message is None else self.conversation.take(message, size)
        if answer is not None:
            self._send(answer)
        self._settle()

    def _settle(self) -> None:
        """Decide what comes next: more messages, more bytes, or the end."""
        if self._pumping:  # it will be asked at the end of that
            return
        self._note()
        if self._ending:
            return
        limits, is_reading = self.factory.limits, self._reading is not None
        is_backlog = self.has_more() or is_reading
        if is_backlog or self._not_reading:
            self._hold("backlog", is_backlog)
        if is_reading or self._is_waited_for():
            self._later("watch", WATCH, self._watch)
        elif is_backlog:
            if "unread" not in self._not_reading:
                self.factory.rounds.ask(self)
        elif self.broken is not None:
            self._send(jsonrpc.error(None, self.broken))
            self._end(limits.linger)
        elif self.input_ended:
            self._end(limits.unread_timeout)

    def _is_waited_for(self) -> bool:
        """Is there nothing more to handle, but something to answer?"""
        return self.conversation.busy and self.broken is None and not self.has_more()

    def _watch(self) -> None:
        if self.factory.has_gone(self.transport):
            self.abort()
        else:
            self._settle()

    def _send(self, message: bytes) -> None:
        self._outbox.send(self.frame(message))

    def _hold_unread(self, is_crowded: bool) -> None:
        was_crowded = "unread" in self._not_reading
        self._hold("unread", is_crowded)
        if was_crowded and not is_crowded:
            self._settle()

    def _hold(self, reason: str, is_held: bool) -> None:
        """Read on only while no reason speaks against it."""
        before = bool(self._not_reading)
        (self._not_reading.add if is_held else self._not_reading.discard)(reason)
        if before == bool(self._not_reading) or self.input_ended or self._ending:
            return
        (self.transport.resumeProducing if before else self.transport.pauseProducing)()


def _unreadable(failure: Failure) -> Message | None:
    """Answer a message that could not be read; nobody waits for one that is not wanted any more."""
    if failure.check(CancelledError):
        return None
    error = failure.value
    return Malformed(error if isinstance(error, RPCError) else InternalError(str(error)))
