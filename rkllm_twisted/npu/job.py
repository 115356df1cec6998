"""A procedure on its way through the queue and the NPU thread; a single call is one, too."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.abi.return_codes import outputs_of
from rkllm_twisted.errors import RPCError, RuntimeRefused
from rkllm_twisted.interfaces import IRuntime, ITurn
from rkllm_twisted.npu.deliveries import Delivery
from rkllm_twisted.values import OnResult, OnResults, Procedure, Result

_log = Logger("rkllm.npu")

#: Changes each result of a run in the NPU thread, before the reactor gets it.
Transform = Callable[[Result], Result]
#: What a procedure is called before its first call.
PROCEDURE = "procedure"
#: Function -> the state of the NPU during such a call.
STATES = {
    "rkllm_init": "loading",
    "rkllm_run": "running",
    "rkllm_run_async": "running",
    PROCEDURE: "running",
}
STUCK = "The NPU is stuck in a call that cannot be ended; restart the daemon."


def unchanged(result: Result) -> Result:
    """Return a result as it is."""
    return result


def one_call(prepared: Any, turn: ITurn) -> Result:
    """Make a call that is not a run. With its first argument it is a procedure."""
    return turn.perform(prepared)


def one_run(
    deliver: Callable[[ITurn, Callable[..., object], Transform, Sequence[Result]], object],
    take: Callable[..., object],
    transform: Transform,
    prepared: Any,
    turn: ITurn,
) -> Result:
    """Make a run. With its first four arguments it is a procedure.

    :param deliver: :func:`deliver_each` or :func:`deliver_together`.
    :param take: gets the partial results, in the reactor thread.
    :param transform: changes each result before, in the NPU thread.
    """
    deliver_to = partial(deliver, turn, take, transform)
    return transform(turn.perform(prepared, on_results=deliver_to))


def deliver_each(
    turn: ITurn, on_result: OnResult, transform: Transform, results: Sequence[Result]
) -> None:
    """Give a function each of the results that came together."""
    for result in results:
        turn.deliver(on_result, transform(result))


def deliver_together(
    turn: ITurn, on_results: OnResults, transform: Transform, results: Sequence[Result]
) -> None:
    """Give a function the list of the results that came together."""
    turn.stream(on_results, *map(transform, results))


def abort_quietly(runtime: IRuntime) -> None:
    """Abort the run under way, if there is one. From any thread."""
    with contextlib.suppress(RPCError):
        runtime.abort()


@attrs.define(eq=False)
class Job:
    """A turn and its outcome.

    :param procedure: makes the calls of the turn.
    :param client: the client that has the turn.
    :param function: of the call under way, or of the last one.
    :param model_path: of the model that the first call loads, if that is known.
    :param announced: the reactor knows already that the call of this function begins.
    :param is_single: the procedure is this one call.
    :ivar in_run: a run is about to enter C, or there.
    :ivar runs: how many runs it has begun.
    :ivar abandoned: the caller has its answer; what the thread still does is dropped.
    :ivar aborted: ``rkllm_abort`` was called during the run, or before it between two calls.
    :ivar outcome: the caller's Deferred; the NPU makes it before the turn.
    """

    procedure: Procedure
    client: Hashable
    function: str = PROCEDURE
    model_path: str | None = None
    announced: bool = False
    is_single: bool = False
    in_run: bool = False
    runs: int = 0
    abandoned: bool = False
    aborted: bool = False
    outcome: Deferred[Any] = attrs.field(init=False, repr=False)
    #: ``rkllm_abort`` was called between two calls: it concerns the next run.
    _abort_waits: bool = False
    _lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    def abort(self, runtime: IRuntime) -> Result:
        """Abort the run under way or, between the calls of a turn, the next one.

        In the reactor thread.

        :raises RPCError: the library has refused it.
        """
        with self._lock:  # the thread does not begin the next run meanwhile
            if not (self.is_single or self.in_run):
                self._abort_waits = True
                return outputs_of("rkllm_abort", 0)
            self.aborted = True
            try:
                result: Result = runtime.abort()
            except RuntimeRefused:
                if self.is_single:
                    self.aborted = False  # the client is told so, and the run goes on
                    raise
                # The run has not entered C yet, so that its first result repeats the abort.
                return outputs_of("rkllm_abort", 0)
        return result

    def enter(self, *, is_run: bool) -> None:
        """Begin a call. In the NPU thread.

        :param is_run: it is a run; it must not be made if :attr:`aborted` is True then.
        """
        with self._lock:
            # An abort during a run concerns no other one.
            self.aborted = self.aborted and self.in_run
            self.in_run = is_run
            if is_run and self._abort_waits:
                self.aborted, self._abort_waits = True, False

    def leave(self) -> bool:
        """Record that C has returned. In the NPU thread.

        :returns: True if the call was aborted. An abort that comes now is between two calls.
        """
        with self._lock:
            self.in_run = False
            return self.aborted

    @contextlib.contextmanager
    def own_run(self) -> Iterator[None]:
        """Make a run of the daemon's own. An abort of it concerns the turn's next run, too."""
        with self._lock:
            self.aborted, self.in_run = False, True
        try:
            yield
        finally:
            with self._lock:
                self._abort_waits = self._abort_waits or self.aborted
                self.aborted = self.in_run = False

    def abandon(self, error: Exception) -> None:
        """Answer the caller now; drop what the thread still does."""
        if not self.abandoned and not self.outcome.called:
            self.abandoned = True
            self.outcome.errback(error)

    def resolve(self, result: object) -> None:
        """Answer the caller with the result of the thread, or its Failure."""
        if self.abandoned or self.outcome.called:
            return
        if isinstance(result, Failure):
            self.outcome.errback(result)
        else:
            self.outcome.callback(result)

    def refuse(self, reason: Failure) -> None:
        """Answer the caller that no turn comes, unless the caller has cancelled the call."""
        if reason.check(RPCError):
            self.resolve(reason)

    def deliver(self, deliveries: Iterable[Delivery]) -> None:
        """Call functions of the caller's. In the reactor thread. It raises nothing."""
        for delivery in deliveries:
            if self.abandoned:
                return
            try:
                if delivery.results is None:
                    delivery.function(*delivery.args)
                else:
                    delivery.function(delivery.results)
            except Exception:  # noqa: BLE001 - a fault of one function must not cost the others
                _log.failure("what a turn delivers could not be taken")

    def check(self) -> None:
        """Check that the caller still waits for the answer.

        :raises CancelledError: the job was abandoned.
        """
        if self.abandoned:
            raise CancelledError
