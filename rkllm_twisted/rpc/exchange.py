"""One call under way: what is sent for it, in which form, and that it is answered only once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rkllm_twisted.errors import RPCError
from rkllm_twisted.interfaces import Result
from rkllm_twisted.rpc.journal import Entry, tokens_of
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


@attrs.frozen
class Settings:
    """The forms that a connection has chosen. A call keeps those that it began with."""

    stream: str = "responses"
    floats: str = "json"


def _let_others_work() -> None:
    """Give Python's lock away: a thread that computes keeps it for milliseconds otherwise."""
    time.sleep(0)


class Exchange(Entry):
    """A call, from its arrival to its one answer, and what the log will say of it.

    :param raw_id: the request's id as it came; None for a notification, which is never answered.
    :param begun: when it came.
    :param send: takes a partial result's message for the client.
    :param answered: called once, with the answer's bytes, or None where there is to be none.
    :param over: called with this before that.
    """

    log = Logger()
    __slots__ = (
        *("_answered", "_key", "_over", "_send", "_seq", "_settings", "_under_way", "_work"),
        "is_open",
    )

    def __init__(
        self,
        method: str,
        raw_id: bytes | None,
        begun: float,
        settings: Settings,
        send: Callable[[bytes], None],
        answered: Answered,
        over: Callable[[Entry], None],
    ) -> None:
        self.method = method
        self.id = raw_id
        self.begun = begun
        self.tokens = self.error = self.prompt = None
        self.is_open = True
        self._settings = settings
        self._send = send
        self._answered = answered
        self._over = over
        self._seq = 0
        self._work: Deferred[None] | None = None
        self._under_way: dict[object, Exchange] | None = None

    def enter(self, under_way: dict[object, Exchange], key: object) -> None:
        """Be under way, until the answer."""
        under_way[key] = self
        self._under_way = under_way
        self._key = key

    def stream(self, result: object) -> None:
        """Send a partial result; after the answer nothing is sent any more."""
        if not self.is_open or self.id is None:
            return
        text = encoding.encode(result, self._settings.floats)
        self._send(STREAM_FORMS[self._settings.stream](self.id, self._seq, text))
        self._seq += 1

    def written(self, result: Result) -> Result:
        """See :meth:`rkllm_twisted.interfaces.ICall.written`."""
        if self._settings.floats != "json":
            return result  # the bytes are there already
        written: Result = encoding.with_texts(result, _let_others_work)
        return written

    def succeed(self, result: object) -> None:
        """Answer with the result.

        :raises TypeError, ValueError, OverflowError: it has no JSON form.
        """
        if self.is_open and isinstance(result, dict):
            self.tokens = tokens_of(result)
        if self.id is None:
            self._finish(None)
        elif self.is_open:
            text = encoding.encode(result, self._settings.floats)
            self._finish(jsonrpc.response(self.id, text))

    def fail(self, error: RPCError) -> None:
        """Answer with an error; one of a notification is only logged."""
        if self.is_open:
            self.error = error
        self._finish(None if self.id is None else jsonrpc.error(self.id, error))

    def _finish(self, answer: bytes | None) -> None:
        if self.is_open:
            self.is_open = False
            if self.tokens is None and self._seq:
                self.tokens = self._seq
            if self._under_way is not None:
                del self._under_way[self._key]
            self._over(self)
            self._answered(answer)

    def attach(self, work: Deferred[None]) -> None:
        """Say what goes on for it, once it has begun."""
        self._work = work
        if not self.is_open:  # it was stopped while it began
            self._cancel()

    def stop(self, reason: RPCError) -> None:
        """Answer with an error now, and cancel the work."""
        self.fail(reason)
        self._cancel()

    def _cancel(self) -> None:
        if self._work is not None:
            try:
                self._work.cancel()
            except Exception:  # noqa: BLE001 - one bad canceller must not keep the others alive
                self.log.failure("cancelling {method} failed", method=self.method[:100])


class Answers:
    """The answers to a batch, which leave together when the last one is there.

    :param count: of the batch's members.
    :param answered: told the whole answer; None where all of them are notifications.
    """

    def __init__(self, count: int, answered: Answered) -> None:
        self._answers: list[bytes | None] = [None] * count
        self._missing = count
        self._answered = answered

    def put(self, place: int, answer: bytes | None) -> None:
        """Take a member's answer."""
        self._answers[place] = answer
        self._missing -= 1
        if not self._missing:
            real = [answer for answer in self._answers if answer is not None]
            self._answered(jsonrpc.batch(real) if real else None)
