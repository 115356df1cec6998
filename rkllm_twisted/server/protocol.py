"""The daemon's end of a connection: fairness, back-pressure, half-close, and the end.

:class:`~rkllm_twisted.rpc.conversation.Conversation` handles the messages.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import NetstringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import InternalError, RPCError
from rkllm_twisted.rpc.conversation import Conversation
from rkllm_twisted.rpc.deadline import Deadline
from rkllm_twisted.server import peer
from rkllm_twisted.server.fairness import IServerConnection
from rkllm_twisted.server.outbox import Outbox
from rkllm_twisted.server.receive_buffer import ReceiveBuffer, too_slow
from rkllm_twisted.server.state import ServerState
from rkllm_twisted.values import Peer
from rkllm_twisted.wire.framing import FramingError
from rkllm_twisted.wire.messages import Malformed, Message
from rkllm_twisted.wire.validation import LIGHT_MESSAGE_BYTES, is_heavy

#: Seconds between two looks at whether a client that waits for an answer is still there.
GONE_CHECK_S = 0.5

_log = Logger("rkllm.server")


@implementer(IServerConnection, IHalfCloseableProtocol)
class RPCProtocol(NetstringReceiver):
    """One connection. Its first byte decides its framing; replies have the same framing.

    A :class:`NetstringReceiver` by its interface: ``stringReceived`` takes a message,
    ``sendString`` sends one. ``dataReceived`` is our own, over
    :class:`~rkllm_twisted.server.receive_buffer.ReceiveBuffer`: it reads lines of JSON as well, and
    parses no more at a time than the connection's turn allows.

    :param number: the connection's name in the log.
    """

    conversation: Conversation
    transport: Any  # Twisted's interfaces tell the reading and the writing half apart

    def __init__(self, state: ServerState, number: int) -> None:
        self.MAX_LENGTH = state.limits.max_length
        self.peer = Peer(number)
        self._shared = state
        self._input = ReceiveBuffer(state.limits.max_length)
        self._refusal: RPCError | None = None
        self._not_reading: set[str] = set()
        self._timers: dict[str, Deadline] = {}
        self._is_working = False
        self._is_ending = False
        #: A big message, while it is parsed elsewhere: those behind it wait.
        self._reading: Deferred[Message] | None = None
        self._reading_size = 0
        #: The number of bytes that the input budget was last given.
        self._noted = 0

    def connectionMade(self) -> None:
        """Identify the client; refuse it if the daemon has no room for it."""
        limits, reactor = self._shared.limits, self._shared.reactor
        self.peer = peer.peer_of(self.peer.number, self.transport)
        note = partial(self._shared.output_budget.note, self)
        self._outbox = Outbox(self.transport, reactor, limits, self._hold_unread, self.drop, note)
        self.conversation = Conversation(
            self._shared.dispatcher,
            self.peer,
            lambda strings: self._outbox.send_all([*map(self._input.frame, strings)]),
            self._settle,
            limits,
            self._shared.administers(self.peer),
        )
        self._refusal = self._shared.opened(self)
        if self._refusal is not None:  # the answer waits for the framing
            self._later("linger", limits.linger, self.abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cancel what is under way: the client is gone."""
        self._is_ending = True
        for timer in self._timers.values():
            timer.cancel()
        self._outbox.stopProducing()
        self.conversation.close()
        self._forget()
        self._shared.rounds.remove(self)
        self._shared.input_budget.note(self, 0)
        self._shared.closed(self)

    def readConnectionLost(self) -> None:
        """Handle a half-close: the client still gets its answers, unless it is gone."""
        self._input.input_ended = True
        self._watch()

    def writeConnectionLost(self) -> None:
        """Close: nothing can be sent any more."""
        self.abort()

    def abort(self) -> None:
        """Close now; the client loses what it has not read."""
        self._is_ending = True
        self.transport.abortConnection()

    def shut_down(self) -> None:
        """Answer what is under way with an error, then close."""
        self.conversation.shut_down()
        self._end(self._shared.limits.linger)

    def _end(self, patience: float) -> None:
        """Close when the client has read everything, or after so many seconds."""
        if not self._is_ending:
            self._is_ending = True
            self.conversation.close()
            self._later("linger", patience, self.abort)
            self._outbox.finish(self.transport.loseConnection)

    def drop(self, reason: str) -> None:
        """Close at once, and log why."""
        number = self.peer.number
        _log.warn("client {number} is dropped: {reason}", number=number, reason=reason)
        self.abort()

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if name not in self._timers or not self._timers[name].active():
            self._timers[name] = Deadline(self._shared.reactor, seconds, call)

    def dataReceived(self, data: bytes) -> None:
        """Handle the bytes that were read."""
        if self._is_ending:
            return
        if self._refusal is not None:
            self._refuse(data, self._refusal)
            return
        has_room = self._shared.rounds.has_room_for(self)
        self._input.put(data, now=has_room)
        if has_room:
            self.work()
        else:
            self._hold("backlog", True)
            self._shared.rounds.add(self)
            self._note()

    def _refuse(self, data: bytes, refusal: RPCError) -> None:
        with suppress(FramingError):
            self._input.choose_framing(data)
        self.turn_away(refusal)

    def _note(self) -> None:
        held = self.held
        if held or self._noted:
            self._noted = held
            self._shared.input_budget.note(self, held)

    def _time_message(self) -> None:
        """Close if the message that has begun is not complete in time."""
        count, limit = self.conversation.messages, self._shared.limits.message_timeout

        def expire() -> None:
            if self._is_ending or not self._input.has_begun():
                return
            if self._not_reading or self.conversation.messages != count:
                self._time_message()  # reading was paused, or another message has begun
            else:
                self.turn_away(too_slow(limit))

        self._later("message", limit, expire)

    def turn_away(self, error: RPCError) -> None:
        """Forget what came in, answer with an error, and close."""
        self._forget()
        self._input.fail(error)
        self._settle()

    def _forget(self) -> None:
        self._input.discard()
        if self._reading is not None:
            self._reading.cancel()

    @property
    def held(self) -> int:
        """The bytes that came in and are not answered; of calls under way, large messages only."""
        return self._input.held + self._reading_size + self.conversation.held

    def work(self) -> None:
        """Answer some messages; the others wait for the reactor's next turn."""
        if self._is_working:
            return
        self._is_working = True
        source, may_go_on = self._input, self._shared.rounds.may_go_on
        self._shared.rounds.begin()
        self._outbox.gather()
        for _ in range(self._shared.limits.messages_per_turn):
            if self._is_ending or self._reading or "unread" in self._not_reading:
                break
            if not source.has_message(may_go_on):
                break
            self.stringReceived(source.take())
            if not source.has_more() or not may_go_on():
                break
        self._outbox.flush()
        self._is_working = False
        if not self._is_at_rest():
            self._settle()
        may_go_on()

    def _is_at_rest(self) -> bool:
        """True if everything is answered, the usual case: there is nothing to settle."""
        source, is_busy = self._input, self.conversation.busy or self._reading
        is_read = source.is_empty() and not (self._noted or self._not_reading or is_busy)
        return is_read and not (source.input_ended or source.broken)

    def stringReceived(self, string: bytes) -> None:
        """Handle a message, in either framing."""
        read = self._shared.read_elsewhere
        if len(string) > LIGHT_MESSAGE_BYTES and read is not None and is_heavy(string):
            self._reading_size = len(string)
            self._reading = message = read(string)
            message.addErrback(_unreadable).addCallback(self._has_read)
            return
        answer = self.conversation.received(string)
        if answer is not None:
            self._outbox.send(self._input.frame(answer))

    def _has_read(self, message: Message | None) -> None:
        size, self._reading, self._reading_size = self._reading_size, None, 0
        answer = None if message is None else self.conversation.take(message, size)
        if answer is not None:
            self.sendString(answer)
        self._settle()

    def _settle(self) -> None:
        """Decide what comes next: more messages, more bytes, or the end."""
        if self._is_working:  # work() calls this at its end
            return
        self._note()
        if self._is_ending:
            return
        source, is_reading = self._input, self._reading is not None
        if source.has_begun():
            self._time_message()
        is_backlog = source.has_more() or is_reading
        if is_backlog or self._not_reading:
            self._hold("backlog", is_backlog)
        # No message is left to take, but a call is under way.
        is_waited_for = self.conversation.busy and source.broken is None and not is_backlog
        if is_reading or is_waited_for:
            self._later("watch", GONE_CHECK_S, self._watch)
        elif is_backlog:
            if "unread" not in self._not_reading:
                self._shared.rounds.add(self)
        elif source.broken is not None:
            self._outbox.send(source.last_message())
            self._end(self._shared.limits.linger)
        elif source.input_ended:
            self._end(self._shared.limits.unread_timeout)

    def _watch(self) -> None:
        if self._shared.has_gone(self.transport):
            self.abort()
        else:
            self._settle()

    def sendString(self, string: bytes) -> None:
        """Send a message in the connection's framing."""
        self._outbox.send(self._input.frame(string))

    def _hold_unread(self, is_crowded: bool) -> None:
        was_crowded = "unread" in self._not_reading
        self._hold("unread", is_crowded)
        if was_crowded and not is_crowded:
            self._settle()

    def _hold(self, reason: str, is_held: bool) -> None:
        """Pause reading while there is a reason to."""
        before = bool(self._not_reading)
        (self._not_reading.add if is_held else self._not_reading.discard)(reason)
        if before == bool(self._not_reading) or self._input.input_ended or self._is_ending:
            return
        (self.transport.resumeProducing if before else self.transport.pauseProducing)()


def _unreadable(failure: Failure) -> Message | None:
    """Make the answer to a message that could not be parsed; None if it was cancelled."""
    if failure.check(CancelledError):
        return None
    error = failure.value
    return Malformed(error if isinstance(error, RPCError) else InternalError(str(error)))
