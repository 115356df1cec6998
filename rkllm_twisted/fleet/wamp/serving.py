"""One call that this member serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.errors import InternalError, RPCError
from rkllm_twisted.fleet.errors import TooLarge
from rkllm_twisted.fleet.values import Invocation, Payload, Serve
from rkllm_twisted.fleet.wamp.translation import error_to_wamp, from_text, to_text

_log = Logger("rkllm.fleet")


class Serving:
    """Runs ``serve`` for an invocation, and answers the router only when it has ended.

    :param uri: for the log.
    :param ended: called with this object when ``serve`` has ended.
    """

    def __init__(self, uri: str, ended: Callable[[Serving], object]) -> None:
        self.uri = uri
        #: True if the router no longer counts the call, or perhaps counts it for ever.
        self.was_interrupted = False
        self._ended_callback = ended
        self._is_connected = True
        self._ended: Deferred[Any] = Deferred()
        self._served: Deferred[Any] | None = None
        self._progress: Callable[[str], object] | None = None

    def begin(self, serve: Serve, text: Any, details: Any) -> Deferred[Any]:
        """Serve; the result is for autobahn, which cancels it when the router interrupts."""
        self._progress = details.progress
        answer: Deferred[Any] = Deferred(self._interrupt)
        # The router takes the answer to an interrupt for the end of the work.
        answer.addErrback(lambda failure: self._ended if self.was_interrupted else failure)
        caller = str(details.caller_authid)
        self._served = maybeDeferred(
            lambda: serve(Invocation(from_text(text), caller, self._send_progress))
        )
        self._served.addCallback(to_text)
        self._served.addBoth(self._end, answer)
        return answer

    def disconnect(self) -> None:
        """The connection is lost: nothing can be answered, and the work ends."""
        self._is_connected = False
        self._cancel()

    def _interrupt(self, _: Deferred[Any]) -> None:
        self._cancel()

    def _cancel(self) -> None:
        self.was_interrupted = True
        if self._served is not None:
            self._served.cancel()

    def _send_progress(self, payload: Payload) -> None:
        text = to_text(payload)
        if self._progress is not None and not self.was_interrupted and not self._ended.called:
            self._progress(text)

    def _end(self, result: Any, answer: Deferred[Any]) -> None:
        """The work has ended: answer, then say so."""
        reply = result if self._is_connected else None  # autobahn cannot send an error then
        if isinstance(reply, Failure):
            reply = Failure(error_to_wamp(self._error(reply)))
        target = self._ended if self.was_interrupted else answer
        target.callback(reply)
        if target is answer:
            self._ended.callback(None)
        self._ended_callback(self)

    def _error(self, failure: Failure) -> BaseException:
        """Return what the caller gets, and log what only this side may know."""
        error: Any = failure.value
        if isinstance(error, TooLarge):
            return InternalError(f"The board's answer is lost: {error}")
        if not isinstance(error, (RPCError, CancelledError)):
            _log.failure("A call of {uri} has failed", failure, uri=self.uri)
        return error  # type: ignore[no-any-return]
