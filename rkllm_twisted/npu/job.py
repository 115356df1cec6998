"""One call on its way through the queue and the NPU thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rkllm_twisted.errors import Cancelled, RPCError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.values import OnResult, Result

#: ``_callback_state`` from this on ends a run (LLMCallState: 2 finish, 3 error).
FINISH, ERROR = 2, 3


#: What is done to each result of a run in the NPU thread, before the reactor gets it.
Form = Callable[[Result], Result]


def unchanged(result: Result) -> Result:
    """Leave a result alone."""
    return result


def abort_quietly(runtime: IRuntime) -> None:
    """Abort what runs; from any thread. Refused means that there was nothing to abort."""
    with contextlib.suppress(RPCError):
        runtime.abort()


@attrs.define(eq=False)
class Job:
    """A call, and what has come of it.

    :param on_result: takes a run's partial results; None for what is no run.
    :param client: whose call it is.
    :param form: what is done to a run's results in the NPU thread.
    :ivar final: the result that ended the run.
    :ivar given_up: the caller has been answered, whatever the thread still does.
    :ivar outcome: what the caller holds.
    """

    function: str
    prepared: object
    on_result: OnResult | None
    client: Hashable
    form: Form = unchanged
    final: Result | None = None
    given_up: bool = False
    outcome: Deferred[Result] = attrs.field(factory=Deferred)

    @property
    def is_run(self) -> bool:
        """Is it a run, with partial results?"""
        return self.on_result is not None

    def give_up(self, error: RPCError) -> None:
        """Answer the caller now; what the thread still does reaches nobody."""
        if not self.given_up and not self.outcome.called:
            self.given_up = True
            self.outcome.errback(error)

    def settle(self, result: Result | Failure) -> None:
        """Answer the caller with what the thread brought back."""
        if self.given_up or self.outcome.called:
            return
        if isinstance(result, Failure):
            self.outcome.errback(result)
        else:
            self.outcome.callback(result)

    def deliver(self, result: Result) -> None:
        """Hand one partial result to the caller, in the reactor thread."""
        if not self.given_up and self.on_result is not None:
            self.on_result(result)

    def check(self) -> None:
        """Look whether anybody still waits for it.

        :raises Cancelled: nobody does.
        """
        if self.given_up:
            raise Cancelled("The request was cancelled.")

    def perform(self, runtime: IRuntime, partial: Callable[[Job, Result], object]) -> Result:
        """Do the call, in the NPU thread.

        :param partial: told each partial result, in this thread.
        :raises RPCError: the runtime refused.
        """
        if not self.is_run:
            outputs: Result = runtime.perform(self.prepared)
            return outputs

        def on_result(result: Result) -> None:
            if self.given_up:
                abort_quietly(runtime)  # again: the first came before the run had entered C
            elif result["_callback_state"] in (FINISH, ERROR):
                self.final = self.form(result)
            else:
                partial(self, self.form(result))

        try:
            runtime.perform(self.prepared, on_result)
        except RPCError:
            if self.final is None or self.final["_callback_state"] != ERROR:
                raise
        empty: Result = runtime.empty_result()
        return self.final or empty
