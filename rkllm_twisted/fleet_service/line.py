"""The line in front of a fleet: requests wait here, in fair turns, for a board that is free.

What may happen to a request is decided in :mod:`.choice`, :mod:`.retries` and :mod:`.affinity`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rkllm_twisted.errors import RPCError, RuntimeCrashed
from rkllm_twisted.fleet_service.affinity import Affinity
from rkllm_twisted.fleet_service.boards import Boards
from rkllm_twisted.fleet_service.choice import (
    Choice,
    Give,
    Refuse,
    Wait,
    choose,
    default_model,
    named_model,
)
from rkllm_twisted.fleet_service.failures import crashed, line_full, lost, stopping
from rkllm_twisted.fleet_service.figures import Figures
from rkllm_twisted.fleet_service.fleet_call import CallFailed, FleetCall
from rkllm_twisted.fleet_service.retries import Cause, counts, may_try_again
from rkllm_twisted.npu.queue import QUEUE_LIMIT
from rkllm_twisted.npu.turn_order import TurnOrder

#: Makes a call: to a board, of a request. Cancelling it ends the run on the board.
Send = Callable[[str, FleetCall], Deferred[Any]]


class Line:
    """The requests that wait, and those that boards work on.

    :param send: makes a call. Its Deferred fails with :class:`CallFailed`, or with the RPCError of
        the board's daemon.
    :param is_reachable: returns whether the front is joined to the fleet.
    :param limit: how many requests may wait.
    :param model: of requests that name none; None: the only one that there is.
    :ivar boards: what is known of the boards; :meth:`go_on` after a change.
    :ivar under_way: the requests that boards work on.
    """

    def __init__(
        self,
        clock: IReactorTime,
        send: Send,
        is_reachable: Callable[[], bool],
        limit: int = QUEUE_LIMIT,
        model: str | None = None,
    ) -> None:
        self.boards = Boards()
        self.affinity = Affinity()
        self.figures = Figures()
        self.under_way: set[FleetCall] = set()
        self._clock = clock
        self._send = send
        self._is_reachable = is_reachable
        self._limit = limit
        self._model = model
        self._order: TurnOrder[FleetCall] = TurnOrder()
        self._again: deque[FleetCall] = deque()
        self._timer: IDelayedCall | None = None
        self._is_going_on = self._has_changed = self._is_closed = False
        self._when_idle: list[Deferred[None]] = []

    def __len__(self) -> int:
        """The number of requests that wait."""
        return len(self._order) + len(self._again)

    def waiting(self, most: int) -> list[tuple[Any, int]]:
        """The next clients, and the numbers of their requests that wait."""
        return self._order.waiting(most)

    @property
    def clients(self) -> int:
        """The number of clients that wait."""
        return self._order.clients

    def submit(self, call: FleetCall) -> Deferred[Any]:
        """Take in a request.

        :returns: its outcome. Cancelling it ends the run, too.
        """
        if self._is_closed:
            return fail(stopping())
        call.since = self._clock.seconds()
        call.outcome = Deferred(lambda _: self._cancel(call))
        self._order.add(call, call.client)
        self.go_on()
        if call.work is None and not call.outcome.called and len(self) > self._limit:
            self._order.remove(call)
            call.fail(line_full(len(self), self._is_reachable()))
        return call.outcome

    def _cancel(self, call: FleetCall) -> None:
        self._order.remove(call)
        with suppress(ValueError):
            self._again.remove(call)
        if call.work is not None:
            call.work.cancel()
        self.go_on()

    def go_on(self) -> None:
        """Give what waits to the boards that are free."""
        if self._is_going_on:  # what is under way now sees the change
            self._has_changed = True
            return
        self._is_going_on = self._has_changed = True
        try:
            while self._has_changed:
                self._has_changed = False
                self._round()
        finally:
            self._is_going_on = False

    def _round(self) -> None:
        """Decide about everything that waits, in the order of the turns."""
        now = self._clock.seconds()
        names = self.boards.models(now)
        until: list[float] = []
        settled: set[tuple[str | None, bool] | None] = set()
        for call in [*self._again, *self._order]:
            must = self._board_of_history(call)
            call.continues = must is not None
            kind = None if call.continues or call.key else (call.model, call.is_run)
            if kind in settled:
                continue  # one before it waits for the same
            choice = self._decide(call, must, names, now)
            if isinstance(choice, Wait):
                until += [] if choice.until is None else [choice.until]
                if call.board is None and kind is not None:
                    settled.add(kind)
                continue
            self._take(call)
            if isinstance(choice, Refuse):
                self._fail(call, choice.error)
            else:
                self._give(call, choice)
        self._set_timer(min(until, default=None))

    def _board_of_history(self, call: FleetCall) -> str | None:
        """Return the only board that has what a run continues; None: it continues nothing."""
        place = self.affinity.of_client(call.client) if call.is_history_run else None
        return place.board if place is not None and place.has_history else None

    def _decide(
        self, call: FleetCall, must: str | None, names: Mapping[str, int], now: float
    ) -> Choice:
        prefers = self.affinity.of_conversation(call.key)
        try:
            if call.model is None:
                model = default_model(names, self._model)
            else:
                model = named_model(names, call.model)
        except RPCError as error:
            choice: Choice = Refuse(error)
        else:
            call.at_model = model
            choice = choose(call.wanted(model, must, prefers), self.boards, now)
        if isinstance(choice, Refuse) and not self._is_reachable():
            return Wait()  # nobody knows what the fleet has
        return choice

    def _set_timer(self, until: float | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if until is not None:
            delay = max(0.0, until - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self.go_on)

    def _take(self, call: FleetCall) -> None:
        if call in self._again:
            self._again.remove(call)
        else:
            self._order.take(call)

    def _give(self, call: FleetCall, choice: Give) -> None:
        call.board = choice.board
        self.under_way.add(call)
        self.boards.began(choice.board, call.is_run)
        if call.retries == 0:
            self.figures.waited(self._clock.seconds() - call.since)
        call.work = self._send(choice.board, call)
        call.work.addCallbacks(self._done, self._failed, callbackArgs=(call,), errbackArgs=(call,))

    def came(self, call: FleetCall, results: list[Any]) -> None:
        """Take in partial results of a request."""
        if call.results == 0:
            self._has_run(call)
        call.results += len(results)
        if not call.outcome.called:
            call.on_results(results)

    def _has_run(self, call: FleetCall) -> None:
        assert call.board is not None
        self.affinity.read(call.key, call.board)
        if call.is_history_run:
            self.affinity.ran(call.client, call.board, call.keeps_history)

    def _ended(self, call: FleetCall) -> None:
        assert call.board is not None
        call.work = None
        self.under_way.discard(call)
        self.boards.ended(call.board, self._clock.seconds(), call.is_run)
        if not self.under_way:
            idle, self._when_idle = self._when_idle, []
            for waiter in idle:
                if not waiter.called:
                    waiter.callback(None)

    def _done(self, result: Any, call: FleetCall) -> None:
        self._has_run(call)
        self._ended(call)
        self.figures.ran(str(call.board))
        call.succeed(result)
        self.go_on()

    def _failed(self, failure: Failure, call: FleetCall) -> None:
        self._ended(call)
        error = failure.value
        if isinstance(error, CallFailed):
            self._not_answered(call, error.cause)
        elif isinstance(error, RPCError):
            self._refused(call, error)
        elif isinstance(error, Exception) and not call.outcome.called:
            call.fail(error)
        self.go_on()

    def _not_answered(self, call: FleetCall, cause: Cause) -> None:
        assert call.board is not None
        if not counts(cause):
            self.boards.refused(call.board, self._clock.seconds())
        if call.outcome.called:
            return
        holds = call.keeps_history or call.continues
        if may_try_again(cause, call.results, call.retries, holds):
            self.figures.tried_again(cause)
            call.retries += counts(cause)
            self._again.append(call)
        else:
            self.figures.lost += 1
            self._fail(call, lost(call.board, call.results, holds))

    def _refused(self, call: FleetCall, error: RPCError) -> None:
        """Pass on the error of a board's daemon."""
        if isinstance(error, RuntimeCrashed):
            holds = call.keeps_history or call.continues
            # A board that refuses to continue a lost history has made no run.
            self.figures.lost += (error.data or {}).get("history") != "lost"
            error = crashed(error, str(call.board), call.results, holds)
        elif call.results:
            self._has_run(call)
        self._fail(call, error)

    def _fail(self, call: FleetCall, error: RPCError) -> None:
        if isinstance(error, RuntimeCrashed) and (error.data or {}).get("history") == "lost":
            self.affinity.lost(call.client)
        call.fail(error)

    def drain(self) -> Deferred[None]:
        """Refuse new requests and drop those that wait.

        :returns: a Deferred that fires when no request is under way.
        """
        self._is_closed = True
        self._set_timer(None)
        waiting = [*self._again, *self._order.clear()]
        self._again.clear()
        for call in waiting:
            call.fail(stopping())
        idle: Deferred[None] = Deferred()
        if self.under_way:
            self._when_idle.append(idle)
        else:
            idle.callback(None)
        return idle

    def close(self) -> None:
        """End what is under way, too."""
        self.drain().addErrback(lambda _: None)
        for call in list(self.under_way):
            call.fail(stopping())
            if call.work is not None:
                call.work.cancel()
