"""One call under way: what is sent for it, in which form, and that it is answered only once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from rkllm_twisted.errors import RPCError
from rkllm_twisted.interfaces import INPU, ICall, IDaemon
from rkllm_twisted.rpc.access_log import LogEntry, tokens_of
from rkllm_twisted.values import Peer, Result
from rkllm_twisted.wire import encoding, jsonrpc


def _as_response(raw_id: bytes, _seq: int, result: bytes) -> bytes:
    return jsonrpc.response(raw_id, result)


def _as_notification(raw_id: bytes, seq: int, result: bytes) -> bytes:
    head = b'{"jsonrpc":"2.0","method":"rkllm.result","params":'
    return head + b'{"id":%b,"seq":%d,"result":%b}}' % (raw_id, seq, result)


#: How a partial result is written: what ``server.configure {"stream": …}`` may choose.
STREAM_FORMS: Mapping[str, Callable[[bytes, int, bytes], bytes]] = {
    "responses": _as_response,
    "notifications": _as_notification,
}


#: Takes an answer, or None where there is to be none.
Answered = Callable[[bytes | None], object]
#: Called when an answer is not there at once; gives what takes it when it is.
Promise = Callable[[], Answered]


@attrs.frozen
class Settings:
    """The forms that a connection has chosen. A call keeps those that it began with."""

    stream: str = "responses"
    floats: str = "json"


def _let_others_work() -> None:
    """Give Python's lock away: a thread that computes keeps it for milliseconds otherwise."""
    time.sleep(0)


class Conversation(Protocol):
    """A conversation, as seen from here: whose exchange it is."""

    peer: Peer
    quiet: frozenset[str]
    npu: INPU
    daemon: IDaemon

    @property
    def send(self) -> Callable[[bytes], object]:
        """Take a partial result's message for the client."""

    @property
    def over(self) -> Callable[[LogEntry], object]:
        """Put an exchange that is over into the log."""


def _nobody(_: bytes | None) -> None:
    """Wait for no answer."""


@implementer(ICall)
class RPCCall(LogEntry, kw_only=True):
    """A call, from its arrival to its one answer; what its method is given, and the log after it.

    Whoever begins it takes the answer if it is there at once, as most are. For another it waits.

    :param id: the request's as it came; None for a notification, which is never answered.
    :param conversation: whose request this is.
    :param settings: the forms that this had chosen when the request came.
    :ivar params: what the method has to know.
    """

    log: ClassVar[Logger] = Logger()

    conversation: Conversation
    settings: Settings
    params: object = None
    is_open: bool = True
    _work: Deferred[Any] | None = None
    _answered: Answered = _nobody

    @property
    def npu(self) -> INPU:
        """See :class:`ICall`."""
        return self.conversation.npu

    @property
    def daemon(self) -> IDaemon:
        """See :class:`ICall`."""
        return self.conversation.daemon

    def stream(self, result: object) -> None:
        """Send a partial result; after the answer nothing is sent any more."""
        if not self.is_open or self.id is None:
            return
        text = encoding.encode(result, self.settings.floats)
        number = self.tokens or 0
        self.conversation.send(STREAM_FORMS[self.settings.stream](self.id, number, text))
        self.tokens = number + 1

    def encode_floats(self, result: Result) -> Result:
        """See :meth:`rkllm_twisted.interfaces.ICall.encode_floats`."""
        if self.settings.floats != "json":
            return result  # the bytes are there already
        written: Result = encoding.with_arrays_encoded(result, _let_others_work)
        return written

    def answer(self, result: object) -> bytes | None:
        """End it well.

        :returns: the answer; None where there is to be none.
        :raises TypeError, ValueError, OverflowError: the result has no JSON form.
        """
        answer = None
        if self.id is not None:
            text = encoding.encode(result, self.settings.floats)
            answer = jsonrpc.response(self.id, text)
        if isinstance(result, dict):
            self.tokens = tokens_of(result) or self.tokens
        self.is_open = False
        if self.method not in self.conversation.quiet:
            self.conversation.over(self)
        return answer

    def refuse(self, error: RPCError) -> bytes | None:
        """End it with an error; one of a notification is only logged.

        :returns: the answer; None where there is to be none.
        :raises TypeError, ValueError, OverflowError: the error's data has no JSON form.
        """
        answer = None if self.id is None else jsonrpc.error(self.id, error)
        self.error = error
        self.is_open = False
        self.conversation.over(self)
        return answer

    def wait(self, work: Deferred[Any], answered: Answered) -> None:
        """Be under way.

        :param work: what goes on for it.
        :param answered: called once, with what :meth:`answer` or :meth:`refuse` gives.
        """
        self._work = work
        self._answered = answered

    def succeed(self, result: object) -> None:
        """Answer with the result of the work."""
        if self.is_open:
            self._answered(self.answer(result))

    def fail(self, error: RPCError) -> None:
        """Answer with what became of the work."""
        if self.is_open:
            self._answered(self.refuse(error))

    def stop(self, reason: RPCError) -> None:
        """Answer with an error now, and cancel the work."""
        self.fail(reason)
        try:
            if self._work is not None:
                self._work.cancel()
        except Exception:  # noqa: BLE001 - one bad canceller must not keep the others alive
            self.log.failure("cancelling {method} failed", method=self.method[:100])


class BatchReply:
    """The answers to a batch, which leave together when the last one is there."""

    def __init__(self) -> None:
        self._answers: list[bytes | None] = []
        self._missing = 0
        self._answered: Answered | None = None

    def add(self, answer: bytes | None) -> None:
        """Take the answer of the next member, if it is there at once and there is to be one."""
        if answer is not None:
            self._answers.append(answer)

    def promise(self) -> Answered:
        """Keep the place of a member that takes longer."""
        self._answers.append(None)
        self._missing += 1
        return partial(self._put, len(self._answers) - 1)

    def whole(self, promise: Promise) -> bytes | None:
        """Say that all members have begun.

        :param promise: of the batch's answer.
        :returns: that answer; None if it is not there yet, or all members are notifications.
        """
        if self._missing:
            self._answered = promise()
            return None
        return self._text()

    def _put(self, place: int, answer: bytes | None) -> None:
        self._answers[place] = answer
        self._missing -= 1
        if self._answered is not None and not self._missing:
            self._answered(self._text())

    def _text(self) -> bytes | None:
        real = [answer for answer in self._answers if answer is not None]
        return jsonrpc.batch(real) if real else None
