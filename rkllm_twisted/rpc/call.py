"""One call: it sends the results in the form that the client chose, and answers only once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from rkllm_twisted.errors import Busy, RPCError
from rkllm_twisted.interfaces import INPU, ICall, IConversation, IDaemon, IRPCMethod
from rkllm_twisted.rpc.access_log import LogEntry, one_line, tokens_of
from rkllm_twisted.rpc.dispatch import Dispatcher, forget_frames
from rkllm_twisted.values import Result
from rkllm_twisted.wire import encoding, jsonrpc
from rkllm_twisted.wire.encoded_result import ONLY_TOKENS, EncodedResult

_log = Logger("rkllm.rpc")
_json_of: Callable[[object], bytes] = attrgetter("json")


def _as_responses(raw_id: bytes, _seq: int, results: list[bytes]) -> list[bytes]:
    head = b'{"jsonrpc":"2.0","id":%b,"result":' % raw_id  # jsonrpc.response
    return [b"%b%b}" % (head, result) for result in results]


def _as_notifications(raw_id: bytes, seq: int, results: list[bytes]) -> list[bytes]:
    head = b'{"jsonrpc":"2.0","method":"rkllm.result","params":{"id":%b,"seq":' % raw_id
    return [b'%b%d,"result":%b}}' % (head, n, result) for n, result in enumerate(results, seq)]


#: How partial results are written: what ``server.configure {"stream": …}`` may choose.
STREAM_FORMS: Mapping[str, Callable[[bytes, int, list[bytes]], list[bytes]]] = {
    "responses": _as_responses,
    "notifications": _as_notifications,
}


class Later(Enum):
    """The value in place of a reply that comes later."""

    LATER = "later"


LATER = Later.LATER
#: Takes a reply when it is there: its bytes, or None for a notification's.
OnReply = Callable[[bytes | None], object]


@attrs.frozen
class Settings:
    """The forms that a connection has chosen. A call keeps those that it began with."""

    stream: str = "responses"
    floats: str = "json"


def _let_others_work() -> None:
    """Release Python's lock: a thread that computes would keep it for milliseconds."""
    time.sleep(0)


def _ignore(_: bytes | None) -> None:
    """Do nothing with a reply."""


@implementer(ICall)
class RPCCall(msgspec.Struct, eq=False, kw_only=True):
    """A request that is being answered, once: the :class:`ICall` of its method, and its log entry.

    A struct of msgspec's: there is one for each request, so it must cost little.

    :param settings: the forms that the conversation had chosen when the request came.
    :param send: takes partial results' messages for the client.
    :ivar params: of the request, as the method's class.
    :ivar is_open: it is not answered yet.
    """

    conversation: IConversation
    dispatcher: Dispatcher
    entry: LogEntry
    settings: Settings
    send: Callable[[list[bytes]], object]
    params: object = None
    is_open: bool = True
    _work: Deferred[Any] | None = None
    _on_reply: OnReply = _ignore

    @property
    def npu(self) -> INPU:
        """See :class:`ICall`."""
        return self.dispatcher.npu

    @property
    def daemon(self) -> IDaemon:
        """See :class:`ICall`."""
        return self.dispatcher.daemon

    @property
    def methods(self) -> Mapping[str, IRPCMethod]:
        """See :class:`ICall`."""
        return self.dispatcher.methods

    def stream(self, result: object) -> None:
        """Send a partial result; after the reply nothing is sent any more."""
        self.stream_all((result,))

    def stream_all(self, results: Sequence[object]) -> None:
        """See :meth:`rkllm_twisted.interfaces.ICall.stream_all`."""
        entry, floats = self.entry, self.settings.floats
        if not self.is_open or entry.id is None:
            return
        first = entry.tokens or 0
        if {*map(type, results)} == ONLY_TOKENS:
            encoded = [*map(_json_of, results)]
        else:
            encoded = [
                result.json if type(result) is EncodedResult else encoding.encode(result, floats)
                for result in results
            ]
        entry.tokens = first + len(encoded)
        self.send(STREAM_FORMS[self.settings.stream](entry.id, first, encoded))

    def encode_floats(self, result: Result) -> Result:
        """See :meth:`rkllm_twisted.interfaces.ICall.encode_floats`."""
        if type(result) is EncodedResult or self.settings.floats != "json":
            return result  # the bytes are there already
        encoded: Result = encoding.with_arrays_encoded(result, _let_others_work)
        return encoded

    def answer(self, result: object) -> bytes | None:
        """Reply with a result.

        :returns: the reply; None for a notification's.
        :raises TypeError, ValueError, OverflowError: the result has no JSON form.
        """
        reply, entry = None, self.entry
        if entry.id is not None:
            reply = jsonrpc.response(entry.id, encoding.encode(result, self.settings.floats))
        if isinstance(result, dict):
            entry.tokens = tokens_of(result) or entry.tokens
        self.is_open = False
        access_log = self.dispatcher.access_log
        if access_log.has_quiet or not entry.is_quiet:
            access_log.end(self.conversation.peer, entry)
        return reply

    def refuse(self, error: RPCError, error_object: bytes | None = None) -> bytes | None:
        """Reply with an error; that of a notification is only logged.

        :param error_object: the error as JSON text, if that is there already.
        :returns: the reply; None for a notification's.
        :raises TypeError, ValueError, OverflowError: the error's data has no JSON form.
        """
        entry, reply = self.entry, None
        if entry.id is not None:
            text = error_object or jsonrpc.error_object(error, self.settings.floats)
            reply = jsonrpc.failure(entry.id, text)
        entry.error = error
        self.is_open = False
        self.dispatcher.access_log.end(self.conversation.peer, entry)
        forget_frames(error)
        return reply

    def wait(self, work: Deferred[Any], on_reply: OnReply) -> None:
        """Reply later.

        :param work: fires with the result.
        :param on_reply: called once, with what :meth:`answer` or :meth:`refuse` returns.
        """
        self._work = work
        self._on_reply = on_reply

    def succeed(self, result: object) -> None:
        """Reply with the result of the work."""
        if self.is_open:
            self._reply(self.answer(result))

    def fail(self, error: RPCError) -> None:
        """Reply with the error of the work."""
        if self.is_open:
            self._reply(self.refuse(error))

    def _reply(self, reply: bytes | None) -> None:
        on_reply, self._on_reply, self._work = self._on_reply, _ignore, None  # it may refer to us
        on_reply(reply)

    def cancel(self, reason: RPCError) -> None:
        """Reply with an error now, then cancel the work: the client does not wait for its end."""
        work = self._work
        self.fail(reason)
        try:
            if work is not None:
                work.cancel()
        except Exception:  # noqa: BLE001 - one bad canceller must not keep the others alive
            _log.failure("cancelling {method} failed", method=one_line(self.entry.method[:100]))


class BatchReply:
    """The replies to a batch, which leave together when the last one is there.

    :param size: how many members the batch has.
    :param limit: of the replies, in bytes; see :attr:`is_full`.
    """

    def __init__(self, size: int, limit: int) -> None:
        self._replies: list[bytes | None] = [None] * size
        self._missing = size
        self._room = self._limit = limit
        self._on_reply: OnReply | None = None

    @property
    def is_full(self) -> bool:
        """True if no further member may begin. The replies of members that have begun are kept."""
        return self._room <= 0

    def full_error(self) -> Busy:
        """Make the error for a member that may not begin."""
        return Busy(
            f"The replies to this batch have more than {self._limit} bytes; send the members that"
            " got this error again.",
            {"max_batch_reply": self._limit},
        )

    def put(self, place: int, reply: bytes | None) -> None:
        """Take the reply of a member; None for a notification's."""
        self._replies[place] = reply
        self._room -= len(reply or b"")
        self._missing -= 1
        if self._on_reply is not None and not self._missing:
            self._on_reply(self._text())

    def reply(self, on_reply: OnReply) -> bytes | Later | None:
        """Return the batch's reply, or :data:`LATER`: then the callback takes it."""
        if self._missing:
            self._on_reply = on_reply
            return LATER
        return self._text()

    def _text(self) -> bytes | None:
        replies = [reply for reply in self._replies if reply is not None]
        return jsonrpc.batch(replies) if replies else None
