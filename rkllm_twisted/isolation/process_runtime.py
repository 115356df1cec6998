"""The runtime in a child process, for the NPU thread: an :class:`IRuntime` like the one in C.

Queue, cancelling, history and timeouts are the same code for both. Parameters are checked here, by
the same table, so that errors are found at once; then they are sent, arrays of floats as bytes. A
child that ends during a call is a RuntimeCrashed. Nothing in the reactor waits for a child, which
may be stopped: abort and pause are sent without waiting, is_running is what the daemon knows.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs
from zope.interface import implementer

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import PreparedCall, prepare
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.return_codes import check_pausable, outputs_of
from rkllm_twisted.errors import NoModel, RPCError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.isolation import messages
from rkllm_twisted.isolation.output import complaints, explained
from rkllm_twisted.isolation.process import DISCONNECTED, Channel, ChildExit
from rkllm_twisted.isolation.supervisor import Supervisor
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.model_file import check_model_file
from rkllm_twisted.runtime.probe import Findings
from rkllm_twisted.values import LINES, OnResults, Params, Result
from rkllm_twisted.wire.encoded_result import EncodedResult
from rkllm_twisted.wire.msgpack import with_arrays_packed

T = TypeVar("T")
#: The time from the end of a connection to the exit of its child.
CHILD_EXIT_TIMEOUT_S = 5.0


@attrs.frozen
class RemoteCall:
    """A call that is ready to be sent.

    :param params: as the client sent them.
    :param checked: the same as C sees them, which has checked them. Its arrays of floats are sent
        instead of the client's, so that the child need not read them again.
    """

    function: str
    params: Params
    checked: PreparedCall

    @property
    def name(self) -> str:
        """The function of rkllm.h."""
        return self.function

    @property
    def model_path(self) -> str | None:
        """See :class:`PreparedCall`."""
        return self.checked.model_path


@implementer(IRuntime)
class ProcessRuntime:
    """See :class:`IRuntime`.

    :param findings: of the probe of the library.
    :param files: the files that C may open; None: any. The child has the same rule.
    :param in_reactor: calls a function in the reactor thread and returns its result.
    """

    def __init__(
        self,
        findings: Findings,
        supervisor: Supervisor,
        in_reactor: Callable[[Callable[[], Any]], Any],
        files: Files | None = None,
    ) -> None:
        self.version = findings.version
        self._model_path: str | None = None
        self.release = releases()[findings.version.abi]
        self._layout = layout_of(self.release)
        self._defaults = findings.defaults
        self._supervisor = supervisor
        self._in_reactor = in_reactor
        self._files = files or Files()
        self._numbers = itertools.count(1)
        self._channel: Channel | None = None
        self._running = False
        self._closed = False

    @property
    def loaded(self) -> bool:
        """True if there is a handle, in a child that has not ended."""
        return self._channel is not None and self._channel.exit is None

    @property
    def model_path(self) -> str | None:
        """See :attr:`IRuntime.model_path`."""
        return self._model_path if self.loaded else None

    @property
    def failed(self) -> bool:
        """True if no child can be started."""
        return self._supervisor.failed

    @property
    def problem(self) -> str | None:
        """The crash of the last child; None once a model is loaded again."""
        return None if self.loaded else self._supervisor.problem

    @property
    def crashes(self) -> int:
        """How many children have crashed."""
        return self._supervisor.crashes

    def kill(self) -> bool:
        """See :meth:`IRuntime.kill`. In the reactor thread only."""
        self._supervisor.kill()
        return True

    def prepare(self, function: str, params: Params) -> RemoteCall:
        """See :meth:`IRuntime.prepare`."""
        return RemoteCall(function, params, prepare(self._layout, self._defaults, function, params))

    def perform(
        self, prepared: RemoteCall, on_results: OnResults | None = None
    ) -> Mapping[str, Any]:
        """See :meth:`IRuntime.perform`."""
        if self._closed:
            raise NoModel("The runtime is closed.")
        self._check_files(prepared.checked)
        channel = self._channel_for(prepared.function)
        self._running = on_results is not None
        try:
            outputs: Mapping[str, Any] = self._exchange(channel, prepared, on_results)
            return outputs
        finally:
            self._running = False

    def _check_files(self, prepared: PreparedCall) -> None:
        """Check the files before a model is unloaded for them. The child checks them, too."""
        if prepared.model_path is None:
            self._files.check(prepared.files)
        else:
            with self._files.opened(prepared) as opened:
                check_model_file(opened, self.version.backend)

    def _channel_for(self, function: str) -> Channel:
        """Return the child with the model; for rkllm_init, one that has none."""
        if function == "rkllm_init":
            if self.loaded:
                self._destroy()
            if self._supervisor.failed:
                return self._ask(self._supervisor.restart)
        elif self.release.functions[function].needs_model and not self._supervisor.failed:
            return self._model()  # fails at once after a crash: runs do not wait for a new child
        return self._ask(self._supervisor.channel)

    def _ask(self, question: Callable[[], T]) -> T:
        answer: T = self._in_reactor(question)
        return answer

    def _exchange(self, channel: Channel, call: RemoteCall, on_results: OnResults | None) -> Any:
        """Send a call and receive its results."""
        number = next(self._numbers)
        params = with_arrays_packed(call.params, call.checked.floats)
        streams, mark = on_results is not None, channel.marks.of(number)
        channel.send(messages.Perform(number, call.function, params, streams, mark))
        error: Exception | None = None
        end: messages.Done | messages.Failed | None = None
        while end is None:
            received = channel.receive()
            if not received:
                self._forget()
                raise self._end_of(channel).error(number)
            results, end = _divided(received, number)
            if results and on_results is not None:
                try:
                    on_results(results)
                except Exception as failure:  # noqa: BLE001 - raised below, after C has returned
                    error = error or failure
                    channel.send(messages.Now("abort"))
        self._record_model(channel, call, end.loaded)
        if isinstance(end, messages.Failed):
            raise explained(end.error(), self._complaints(channel, number))
        channel.succeeded = True
        if error is not None:
            raise error
        if call.function == "rkllm_destroy" and not self._closed:
            self._ask(self._supervisor.restart)  # the kernel frees what the library leaks
        if on_results is None:
            return end.result
        return self._with_complaints(end.result, channel, number)

    def _end_of(self, channel: Channel) -> ChildExit:
        """Wait for the end of a child whose connection has ended; kill it if it must be."""
        if channel.fault is None and channel.wait(CHILD_EXIT_TIMEOUT_S) is None:
            channel.fault = DISCONNECTED
        if channel.fault is not None:
            self._ask(partial(self._supervisor.kill_child, channel))
        return channel.wait(CHILD_EXIT_TIMEOUT_S) or ChildExit(None, None, (), channel.fault)

    def _complaints(self, channel: Channel, call: int) -> list[str]:
        """Return the errors and warnings that the library printed during a call."""
        return complaints(self._ask(partial(self._supervisor.lines_of, channel, call)))

    def _with_complaints(self, result: Any, channel: Channel, call: int) -> Any:
        lines = self._complaints(channel, call)
        return {**result, LINES: lines} if lines else result

    def _record_model(self, channel: Channel, call: RemoteCall, loaded: bool) -> None:
        """Record whether there is a model, and in which child."""
        if not loaded:
            self._forget()
        elif call.function == "rkllm_init":
            self._channel = channel
            self._model_path = call.checked.model_path

    def _forget(self) -> None:
        self._channel = self._model_path = None

    def _destroy(self) -> None:
        assert self._channel is not None
        self._exchange(self._channel, self.prepare("rkllm_destroy", None), None)

    def abort(self) -> Mapping[str, Any]:
        """See :meth:`IRuntime.abort`. The status of C is not waited for."""
        channel = self._model()
        outputs = outputs_of("rkllm_abort", 0 if self._running else -1)
        channel.send(messages.Now("abort"))
        return outputs

    def pause(self) -> Mapping[str, Any]:
        """See :meth:`IRuntime.pause`."""
        check_pausable(self.release)
        channel, paused = self._model(), self._running
        channel.send(messages.Now("pause"))
        return {**outputs_of("LLMResultCallback", 0), "paused": paused}

    def is_running(self) -> bool:
        """See :meth:`IRuntime.is_running`: true until a run has returned from C."""
        return self.loaded and self._running

    def close(self) -> None:
        """See :meth:`IRuntime.close`."""
        was_closed, self._closed = self._closed, True
        if self.loaded and not was_closed:
            with contextlib.suppress(RPCError):
                self._destroy()
        self._forget()

    def _model(self) -> Channel:
        if self._channel is None or self._channel.exit is not None:
            raise NoModel.after(self._supervisor.problem)
        return self._channel


def _divided(
    received: Sequence[messages.FromChild], number: int
) -> tuple[list[Result], messages.Done | messages.Failed | None]:
    """Divide what came of a call into its results and its end, if it has ended."""
    results: list[Result] = []
    end: messages.Done | messages.Failed | None = None
    for message in received:
        if message.number != number:
            continue
        if isinstance(message, messages.Token):
            results.append(EncodedResult(message.json))
        elif isinstance(message, messages.Partial):
            results.append(message.result)
        else:
            end = message
    return results, end
