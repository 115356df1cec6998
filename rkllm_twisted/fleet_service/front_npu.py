"""The boards of a fleet in the place of a daemon's NPU, so that its methods need no change."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from rkllm_twisted.abi.release import releases
from rkllm_twisted.errors import MethodNotFound
from rkllm_twisted.fleet_service.affinity import keeps_history
from rkllm_twisted.fleet_service.fleet_call import FleetCall
from rkllm_twisted.fleet_service.line import Line
from rkllm_twisted.fleet_service.wire_values import with_arrays
from rkllm_twisted.interfaces import INPU, IConversation
from rkllm_twisted.npu.job import Transform, unchanged
from rkllm_twisted.values import (
    NPUStatus,
    OnResult,
    OnResults,
    Params,
    Procedure,
    Result,
    RuntimeVersion,
    Waiting,
)

#: What a run is on a board: its results come one by one, whatever the client asked for.
RUN = "rkllm.run_async"
#: Functions of rkllm.h that any board may answer.
ANYWHERE = frozenset({"rkllm_createDefaultParam"})
#: The release of a fleet without a board that says more.
NEWEST: str = [*releases()][-1]


def refusal(method: str) -> MethodNotFound:
    """Make the error for a method that concerns one board."""
    return MethodNotFound(
        f"{method} concerns one board, and this is the front of a fleet. An administrator may ask a"
        f' board: fleet.call {{"board": …, "method": "{method}", "params": …}}.',
        {"method": method},
    )


def name_of(client: Hashable, front: str) -> str:
    """Return the text that a client's requests have in common, for the boards."""
    number = client.peer.number if IConversation.providedBy(client) else 0
    return f"{front}/{number}"


@implementer(INPU)
class FleetNPU:
    """Runs go to the boards; what concerns one board is refused.

    :param line: the line in front of the boards.
    :param front: the name of this front, which no other has.
    """

    def __init__(self, line: Line, front: str) -> None:
        self._line = line
        self._front = front
        self.release = releases()[NEWEST]

    def run(
        self,
        function: str,
        params: Params,
        on_result: OnResult,
        client: Hashable = None,
        transform: Transform = unchanged,
    ) -> Deferred[Result]:
        """See :meth:`INPU.run`."""

        def on_results(results: Sequence[Result]) -> None:
            for result in results:
                on_result(result)

        return self.stream(function, params, on_results, client, transform)

    def stream(
        self,
        function: str,
        params: Params,
        on_results: OnResults,
        client: Hashable = None,
        transform: Transform = unchanged,
    ) -> Deferred[Result]:
        """See :meth:`INPU.stream`."""

        def taken(results: Sequence[Any]) -> None:
            on_results([transform(with_arrays(result)) for result in results])

        call = FleetCall(
            RUN,
            params,
            client,
            name_of(client, self._front),
            taken,
            is_history_run=True,
            keeps_history=keeps_history(params),
        )
        done = self._line.submit(call)
        return done.addCallback(lambda result: transform(with_arrays(result)))

    def call(self, function: str, params: Params, client: Hashable = None) -> Deferred[Any]:
        """See :meth:`INPU.call`."""
        method = f"rkllm.{function.removeprefix('rkllm_')}"
        if function not in ANYWHERE:
            return fail(refusal(method))
        name = name_of(client, self._front)
        return self._line.submit(FleetCall(method, params, client, name, _ignore))

    def perform(
        self,
        procedure: Procedure,
        client: Hashable = None,
        continues: Callable[[], bool] | None = None,
    ) -> Deferred[Any]:
        """See :meth:`INPU.perform`. A procedure works where the NPU is."""
        return fail(refusal("server.sequence"))

    def prepare(self, function: str, params: Params) -> Any:
        """See :meth:`INPU.prepare`."""
        raise refusal("server.sequence")

    def observe(self, observer: Any) -> None:
        """See :meth:`INPU.observe`. There are no calls in this process."""

    def abort(self) -> Deferred[Any]:
        """See :meth:`INPU.abort`."""
        return fail(refusal("rkllm.abort"))

    def pause(self) -> Deferred[Any]:
        """See :meth:`INPU.pause`."""
        return fail(refusal("rkllm.pause"))

    def is_running(self) -> Deferred[Any]:
        """See :meth:`INPU.is_running`."""
        return fail(refusal("rkllm.is_running"))

    def constants(self) -> Mapping[str, Mapping[str, int]]:
        """See :meth:`INPU.constants`."""
        enums: Mapping[str, Mapping[str, int]] = self.release.enums
        return enums

    def version(self) -> RuntimeVersion:
        """See :meth:`INPU.version`. The release is the oldest of the boards'."""
        here = [board.status for board in self._line.boards.values() if board.is_here]
        known = [str(status["abi"]) for status in here if status.get("abi") is not None]
        found = min(known, key=_numbers, default=NEWEST)
        return RuntimeVersion("fleet", None, found, "the boards say so", "fleet")

    def status(self, most_waiting: int = 0) -> NPUStatus:
        """See :meth:`INPU.status`: of all boards together."""
        boards = [board for board in self._line.boards.values() if board.model is not None]
        busy = [board for board in boards if board.is_busy]
        state = "empty" if not boards else "running" if len(busy) == len(boards) else "loaded"
        known = (board.status.get("max_context_len") for board in boards)
        contexts = [int(context) for context in known if context is not None]
        models = {str(board.model) for board in boards}
        return NPUStatus(
            state=state,
            model_path=models.pop() if len(models) == 1 else None,
            queue_length=len(self._line),
            runs=_sum(boards, "runs"),
            tokens=_sum(boards, "tokens"),
            loads=_sum(boards, "loads"),
            crashes=_sum(boards, "crashes"),
            waiting=tuple(Waiting(*each) for each in self._line.waiting(most_waiting)),
            waiting_clients=self._line.clients,
            max_context_len=min(contexts, default=None),
        )

    def drain(self) -> Deferred[None]:
        """See :meth:`INPU.drain`."""
        return self._line.drain()

    def close(self) -> Deferred[None]:
        """See :meth:`INPU.close`."""
        self._line.close()
        return self._line.drain()


def _sum(boards: Sequence[Any], name: str) -> int:
    return sum(board.status.get(name) or 0 for board in boards)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".") if part.isdigit())


def _ignore(_: Sequence[Any]) -> None:
    """Do nothing with partial results."""
