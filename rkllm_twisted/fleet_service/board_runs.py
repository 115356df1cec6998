"""The runs of one board: one at a time, each on the connection of its conversation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rkllm_twisted.client.client import Client
from rkllm_twisted.client_core.events import Arrival, ErrorAnswer, FinalAnswer
from rkllm_twisted.errors import (
    MethodNotFound,
    NoModel,
    RuntimeCrashed,
    ShuttingDown,
    Unreachable,
)
from rkllm_twisted.fleet_service.conversations import Conversations
from rkllm_twisted.fleet_service.failures import history_lost
from rkllm_twisted.fleet_service.fleet_call import WITHOUT_TURN, CallFailed
from rkllm_twisted.fleet_service.history_mark import HistoryMark, mark_after, why_lost
from rkllm_twisted.fleet_service.messages import RunRequest
from rkllm_twisted.fleet_service.retries import Cause
from rkllm_twisted.values import OnResults, Params

#: Methods that wait for a turn of the NPU, of those that a front may ask for.
RUNS = frozenset(
    {
        "rkllm.run_async",
        "rkllm.run",
        "rkllm.createDefaultParam",
        "chat.complete",
        "text.complete",
        "text.structured",
        "embeddings.create",
        "rerank.score",
    }
)
#: Those of them whose history another run may continue.
HISTORY_RUNS = frozenset({"rkllm.run_async", "rkllm.run"})


class BoardRuns:
    """Makes the runs of a board.

    :param board: its name.
    :param conversations: the connections to the daemon.
    :param status: returns a Deferred of the daemon's ``server.status``.
    :param model: returns the name of the model that the board offers now.
    :param on_change: called when a run has begun or ended.
    :ivar under_way: how many runs have begun and not ended.
    """

    def __init__(
        self,
        board: str,
        conversations: Conversations,
        status: Callable[[], Awaitable[Mapping[str, Any]]],
        model: Callable[[], str | None],
        on_change: Callable[[], object],
    ) -> None:
        self.under_way = 0
        self._board = board
        self._conversations = conversations
        self._status = status
        self._model = model
        self._on_change = on_change
        self._mark: HistoryMark | None = None
        self._is_leaving = False
        self._when_idle: list[Deferred[None]] = []

    async def run(self, request: RunRequest, on_results: OnResults, default: str = "") -> Any:
        """Make a run.

        :param on_results: called with partial results that came together.
        :param default: the conversation of a request that names none.
        :returns: the last result.
        :raises CallFailed: nothing was begun: the board is busy, or lacks the model now.
        :raises RPCError: the daemon's error, or the history is lost.
        """
        whose = default if request.conversation is None else request.conversation
        if request.method in WITHOUT_TURN:
            self._check_model(request.model)
            return await self._on_connection(request, whose, on_results)
        if request.method not in RUNS:
            raise MethodNotFound(
                f"{request.method[:100]} is not for the fleet; ask the daemon of the board.",
                {"method": request.method[:100]},
            )
        if self._is_leaving:
            raise CallFailed(Cause.NOT_THERE)
        if self.under_way:
            raise CallFailed(Cause.BUSY)
        self._check_model(request.model)
        self.under_way += 1
        self._on_change()
        try:
            return await self._in_turn(request, whose, on_results)
        finally:
            self.under_way -= 1
            self._on_change()
            self._fire_idle()

    def _check_model(self, wanted: str | None) -> None:
        model = self._model()
        if model is None or wanted not in (None, model):
            raise CallFailed(Cause.NOT_THERE)

    async def _in_turn(self, request: RunRequest, whose: str, on_results: OnResults) -> Any:
        has_history = request.method in HISTORY_RUNS and (
            request.continues or request.keeps_history
        )
        if not has_history:
            self._mark = None
            return await self._on_connection(request, whose, on_results)
        before = await self._status()
        if request.continues:
            self._check_history(whose, before)
        self._mark = None
        result = await self._on_connection(request, whose, on_results)
        connection = self._conversations.known(whose)
        after = await self._status()
        self._mark = mark_after(whose, connection, before, after)
        return result

    def _check_history(self, conversation: str, status: Mapping[str, Any]) -> None:
        connection = self._conversations.known(conversation)
        why = why_lost(self._mark, conversation, connection, status)
        if why is not None:
            raise history_lost(self._board, why)

    async def _on_connection(self, request: RunRequest, whose: str, on_results: OnResults) -> Any:
        has_begun = False
        try:
            async with self._conversations.client(whose) as client:
                has_begun = True
                return await streamed(client, request.method, request.params, on_results)
        except (NoModel, ShuttingDown):
            raise CallFailed(Cause.NOT_THERE) from None
        except Unreachable as error:
            if not has_begun:
                raise CallFailed(Cause.NOT_THERE) from None
            raise RuntimeCrashed(
                f"The daemon of the board {self._board} was lost; ask again.",
                {"problem": str(error)},
            ) from None

    def leave(self) -> Deferred[None]:
        """Take no more runs.

        :returns: a Deferred that fires when no run is under way.
        """
        self._is_leaving = True
        idle: Deferred[None] = Deferred()
        self._when_idle.append(idle)
        self._fire_idle()
        return idle

    def _fire_idle(self) -> None:
        if not self.under_way:
            waiting, self._when_idle = self._when_idle, []
            for idle in waiting:
                if not idle.called:
                    idle.callback(None)


def streamed(client: Client, method: str, params: Params, on_results: OnResults) -> Deferred[Any]:
    """Send a request.

    :param on_results: called with partial results that came together.
    :returns: a Deferred of the last result; cancelling it cancels the request.
    """

    def on_events(events: list[Arrival]) -> None:
        last = events[-1]
        is_over = isinstance(last, (FinalAnswer, ErrorAnswer))
        parts: Sequence[Any] = events[:-1] if is_over else events
        if parts:
            on_results([part.result for part in parts])
        if answer.called:
            return
        if isinstance(last, ErrorAnswer):
            answer.errback(last.error)
        elif isinstance(last, FinalAnswer):
            answer.callback(last.result)

    answer: Deferred[Any] = Deferred()
    number = client.ask(method, params, on_events)

    def leave(failure: Failure) -> Failure:
        client.leave(number)
        return failure

    return answer.addErrback(leave)
