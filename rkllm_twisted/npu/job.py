"""One call on its way through the queue and the NPU thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rkllm_twisted.errors import Cancelled, RPCError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.values import LAST_STATES, LINES, SAVED, OnResult, Result, RunState

#: Changes each result of a run in the NPU thread, before the reactor gets it.
Transform = Callable[[Result], Result]


def unchanged(result: Result) -> Result:
    """Return a result as it is."""
    return result


def abort_quietly(runtime: IRuntime) -> None:
    """Abort the run under way, if there is one. From any thread."""
    with contextlib.suppress(RPCError):
        runtime.abort()


@attrs.define(eq=False)
class Job:
    """A call and its outcome.

    :param prepared: the arguments, see :meth:`IRuntime.prepare`.
    :param on_result: called with each partial result of a run; None if the call is not a run.
    :param client: whose call it is.
    :param transform: changes each result of a run, in the NPU thread.
    :ivar final: the result that ended the run.
    :ivar abandoned: the caller has its answer; what the thread still does is dropped.
    :ivar aborted: ``rkllm_abort`` was called during the run.
    :ivar outcome: the caller's Deferred.
    """

    function: str
    prepared: Any
    on_result: OnResult | None
    client: Hashable
    transform: Transform = unchanged
    final: Result | None = None
    abandoned: bool = False
    aborted: bool = False
    outcome: Deferred[Result] = attrs.field(factory=Deferred)

    @property
    def is_run(self) -> bool:
        """True if the call is a run, which has partial results."""
        return self.on_result is not None

    def abandon(self, error: RPCError) -> None:
        """Answer the caller now; drop what the thread still does."""
        if not self.abandoned and not self.outcome.called:
            self.abandoned = True
            self.outcome.errback(error)

    def resolve(self, result: Result | Failure) -> None:
        """Answer the caller with the result of the thread."""
        if self.abandoned or self.outcome.called:
            return
        if isinstance(result, Failure):
            self.outcome.errback(result)
        else:
            self.outcome.callback(result)

    def deliver(self, result: Result) -> None:
        """Pass one partial result to the caller. In the reactor thread."""
        if not self.abandoned and self.on_result is not None:
            self.on_result(result)

    def check(self) -> None:
        """Check that the caller still waits for the answer.

        :raises Cancelled: the job was abandoned.
        """
        if self.abandoned:
            raise Cancelled("The request was cancelled.")

    def perform(self, runtime: IRuntime, partial: Callable[[Job, Result], object]) -> Result | None:
        """Make the call. In the NPU thread.

        :param partial: called with each partial result, in this thread.
        :returns: the outputs; for a run its last result, None if the runtime sent none.
        :raises RPCError: the runtime refused the call.
        """
        if not self.is_run:
            outputs: Result = runtime.perform(self.prepared)
            return outputs

        def on_result(result: Result) -> None:
            if self.abandoned:
                # The first abort may have come before the run had entered C.
                abort_quietly(runtime)
            elif result["_callback_state"] in LAST_STATES:
                self.final = self.transform(result)
            else:
                partial(self, self.transform(result))

        try:
            outputs = runtime.perform(self.prepared, on_result)
            more = {name: outputs[name] for name in (SAVED, LINES) if name in outputs}
        except RPCError as error:
            if self.final is None or self.final["_callback_state"] != RunState.ERROR:
                raise
            lines = (error.data or {}).get("lines")
            more = {LINES: lines} if lines else {}
        return {**self.final, **more} if more and self.final is not None else self.final
