"""Connects a front to the fleet's engine: calls go out, states of boards come in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.errors import Busy, InvalidParams, NotAllowed, RPCError, RuntimeCrashed
from rkllm_twisted.fleet.errors import (
    BoardLost,
    BoardsBusy,
    FleetError,
    NotOffered,
    NotPermitted,
    RouterLost,
    TooLarge,
)
from rkllm_twisted.fleet.interfaces import IEngine, IWatcher
from rkllm_twisted.fleet.values import BoardState, Payload, board_uri
from rkllm_twisted.fleet_service.fleet_call import CallFailed, FleetCall
from rkllm_twisted.fleet_service.front import Front
from rkllm_twisted.fleet_service.messages import CallRequest, RunRequest, as_payload, failure_of
from rkllm_twisted.fleet_service.retries import Cause

#: Seconds after joining in which the boards that are there show themselves.
SETTLE_S = 1.0
#: An error of the engine -> what it means for a request.
CAUSES = {
    BoardsBusy: Cause.BUSY,
    NotOffered: Cause.NOT_THERE,
    BoardLost: Cause.BOARD_GONE,
    RouterLost: Cause.ROUTER_GONE,
}
#: The same for a request to one board by its name, which is not tried again.
ERRORS: dict[type[FleetError], type[RPCError]] = {
    BoardsBusy: Busy,
    NotOffered: InvalidParams,
    BoardLost: RuntimeCrashed,
    RouterLost: Busy,
    NotPermitted: NotAllowed,
    TooLarge: InvalidParams,
}

_log = Logger("rkllm.fleet")


@implementer(IWatcher)
class FrontLink(Service):
    """Joins a front to a fleet.

    :param engine: the fleet's, of this front.
    :ivar front: set by the one that makes both.
    """

    front: Front

    def __init__(self, reactor: Any, engine: IEngine) -> None:
        self._reactor = reactor
        self.engine = engine
        self._settling: IDelayedCall | None = None
        self._said = ""  # why it is not in the fleet
        self._numbers = itertools.count(1)
        engine.watch(self)

    def startService(self) -> None:
        """Join."""
        super().startService()
        self.engine.join().addErrback(lambda failure: failure.trap(FleetError, CancelledError))

    def stopService(self) -> Deferred[None]:
        """Leave."""
        super().stopService()
        self._stop_settling()
        left: Deferred[None] = self.engine.leave()
        return left

    # What the engine reports

    def connected(self) -> None:
        """See :class:`IWatcher`."""
        _log.info("joined the fleet")
        self._said = ""
        self._stop_settling()
        self._settling = self._reactor.callLater(SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._settling = None
        self.front.joined()

    def _stop_settling(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def disconnected(self, reason: FleetError) -> None:
        """See :class:`IWatcher`."""
        if str(reason) != self._said:
            self._said = str(reason)
            _log.warn("not in the fleet now: {reason}", reason=reason)
        self._stop_settling()
        self.front.lost()

    def board_changed(self, board: str, state: BoardState) -> None:
        """See :class:`IWatcher`."""
        self.front.saw(board, state)

    def board_left(self, board: str) -> None:
        """See :class:`IWatcher`."""
        _log.info("the board {board} has left", board=board)
        self.front.left(board)

    # What the front asks for

    def send(self, board: str, call: FleetCall) -> Deferred[Any]:
        """Make a call, see :class:`~rkllm_twisted.fleet_service.line.Line`."""
        request = RunRequest(
            method=call.method,
            params=call.params,  # type: ignore[arg-type]  # what JSON has
            conversation=call.conversation,
            model=call.at_model,
            continues=call.continues,
            keeps_history=call.keeps_history,
            call=f"{self.front.name}/{next(self._numbers)}",
        )
        _log.info("{call}: {method} on {board}", call=request.call, method=call.method, board=board)

        def on_progress(result: Payload) -> None:
            self.front.line.came(call, [result])

        called = self.engine.call(board_uri(board, "run"), as_payload(request), on_progress)
        return called.addCallbacks(_with_board, _failed)

    def call_board(
        self, board: str, method: str, params: Any, on_results: Callable[[Sequence[Any]], object]
    ) -> Deferred[Any]:
        """Ask the daemon of one board."""
        request = as_payload(CallRequest(method=method, params=params))

        def on_progress(result: Payload) -> None:
            on_results([result])

        called = self.engine.call(board_uri(board, "call"), request, on_progress)
        return called.addCallbacks(lambda answer: answer["result"], _refused)


def _with_board(answer: Payload) -> Any:
    """Return the last result, with the name of the board that has made it."""
    result = answer["result"]
    return {**result, "board": answer["board"]} if isinstance(result, dict) else result


def _failed(failure: Failure) -> Any:
    error = failure.value
    cause = next((cause for kind, cause in CAUSES.items() if isinstance(error, kind)), None)
    if cause is not None:
        raise CallFailed(cause)
    if isinstance(error, RPCError):
        raise failure_of(error)
    return _refused(failure)


def _refused(failure: Failure) -> Any:
    error = failure.value
    if isinstance(error, FleetError):
        raise ERRORS[type(error)](str(error))
    return failure
