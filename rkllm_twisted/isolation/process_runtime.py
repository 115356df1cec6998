"""The runtime in a child process, for the NPU thread: an :class:`IRuntime` like the one in C.

Queue, cancelling, history and timeouts are the same code for both, and so is the runtime itself:
what differs is that a child calls C. Here is what concerns the child: which one has the model, what
it printed during a call, and its end, which is a RuntimeCrashed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import attrs
from zope.interface import implementer

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import PreparedCall, prepare
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.return_codes import check_pausable
from rkllm_twisted.errors import NoModel, RPCError, RuntimeCrashed, RuntimeRefused
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.isolation.channel import DISCONNECTED, Channel, ChildExit
from rkllm_twisted.isolation.output import complaints, explained, log_line
from rkllm_twisted.isolation.remote_caller import Defaults, RemoteCaller
from rkllm_twisted.isolation.supervisor import Supervisor
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.model_file import check_model_file
from rkllm_twisted.runtime.probe import Findings
from rkllm_twisted.runtime.runtime import Runtime
from rkllm_twisted.values import LINES, OnResults, Params

T = TypeVar("T")
#: The time from the end of a connection to the exit of its child.
CHILD_EXIT_TIMEOUT_S = 5.0


@attrs.frozen
class _Child:
    """The runtime of one child."""

    caller: RemoteCaller
    runtime: Runtime

    @property
    def channel(self) -> Channel:
        """The connection to it."""
        return self.caller.channel


@implementer(IRuntime)
class ProcessRuntime:
    """See :class:`IRuntime`.

    :param findings: of the probe of the library.
    :param in_reactor: calls a function in the reactor thread and returns its result.
    :param make_files: makes the rule for the files that C may open, see :class:`Files`, with its
        ``note``; by default, any.
    :param native_async: see :class:`Runtime`.
    """

    def __init__(
        self,
        findings: Findings,
        supervisor: Supervisor,
        in_reactor: Callable[[Callable[[], Any]], Any],
        make_files: Callable[[Callable[[str], object]], Files] | None = None,
        *,
        native_async: bool = False,
    ) -> None:
        self.version = findings.version
        self.release = releases()[findings.version.abi]
        self._layout = layout_of(self.release)
        self._defaults = Defaults.of(findings)
        self._supervisor = supervisor
        self._in_reactor = in_reactor
        self._notes: list[str] = []
        make = partial(Files, ()) if make_files is None else make_files
        #: Of the calls, and of the look at files before a model is unloaded for them.
        self._files, self._look = make(self._note), make(_unnoted)
        self._native_async = native_async
        self._child: _Child | None = None
        self._running = False
        self._closed = False

    @property
    def loaded(self) -> bool:
        """True if there is a handle, in a child that has not ended."""
        child = self._child
        return child is not None and child.runtime.loaded and child.channel.exit is None

    @property
    def model_path(self) -> str | None:
        """See :attr:`IRuntime.model_path`."""
        child = self._child
        return child.runtime.model_path if child is not None and self.loaded else None

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

    def prepare(self, function: str, params: Params) -> PreparedCall:
        """See :meth:`IRuntime.prepare`."""
        return prepare(self._layout, self._defaults.data, function, params)

    def perform(
        self, prepared: PreparedCall, on_results: OnResults | None = None
    ) -> Mapping[str, Any]:
        """See :meth:`IRuntime.perform`."""
        if self._closed:
            raise NoModel("The runtime is closed.")
        self._check_files(prepared)
        child = self._child_for(prepared.name)
        self._running = on_results is not None
        try:
            return self._perform(child, prepared, on_results)
        finally:
            self._running = False

    def _check_files(self, prepared: PreparedCall) -> None:
        """Check the files before a model is unloaded for them. The runtime checks them, too."""
        if prepared.model_path is None:
            self._look.check(prepared.files)
        else:
            with self._look.opened(prepared) as opened:
                check_model_file(opened, self.version.backend)

    def _child_for(self, function: str) -> _Child:
        """Return the child with the model; for rkllm_init, one that has none."""
        if function == "rkllm_init":
            if self.loaded:
                self._destroy()
            if self._supervisor.failed:
                return self._at(self._ask(self._supervisor.restart))
        elif self.release.functions[function].needs_model and not self._supervisor.failed:
            return self._model()  # fails at once after a crash: runs do not wait for a new child
        return self._at(self._ask(self._supervisor.channel))

    def _at(self, channel: Channel) -> _Child:
        """Return the runtime at the end of a connection; it has no model if it is new."""
        if self._child is None or self._child.channel is not channel:
            caller = RemoteCaller(channel, self._layout, self._defaults, self._end_of)
            runtime = Runtime(
                caller,
                self._layout,
                self.version,
                native_async=self._native_async,
                files=self._files,
            )
            self._child = _Child(caller, runtime)
        return self._child

    def _ask(self, question: Callable[[], T]) -> T:
        answer: T = self._in_reactor(question)
        return answer

    def _perform(
        self, child: _Child, prepared: PreparedCall, on_results: OnResults | None
    ) -> Mapping[str, Any]:
        """Make a call, and add what the library printed during it."""
        self._notes.clear()
        before = child.caller.number
        try:
            outputs = child.runtime.perform(prepared, on_results)
        except RuntimeCrashed:
            self._child = None
            raise
        except RuntimeRefused as error:
            if child.caller.number == before:
                raise
            raise explained(error, self._complaints(child)) from None
        if prepared.name == "rkllm_destroy" and not self._closed:
            self._ask(self._supervisor.restart)  # the kernel frees what the library leaks
        if on_results is None:
            return outputs
        lines = [*self._complaints(child), *complaints(self._notes)]
        return {**outputs, LINES: lines} if lines else outputs

    def _note(self, line: str) -> None:
        """Log a line about a file, as if the library had printed it."""
        log_line(line)
        self._notes.append(line)

    def _end_of(self, channel: Channel, number: int) -> RPCError:
        """Wait for the end of a child whose connection has ended; kill it if it must be."""
        if channel.fault is None and channel.wait(CHILD_EXIT_TIMEOUT_S) is None:
            channel.fault = DISCONNECTED
        if channel.fault is not None:
            self._ask(partial(self._supervisor.kill_child, channel))
        ended = channel.wait(CHILD_EXIT_TIMEOUT_S) or ChildExit(None, None, (), channel.fault)
        return ended.error(number)

    def _complaints(self, child: _Child) -> list[str]:
        """Return the errors and warnings that the library printed during the last call."""
        lines_of = partial(self._supervisor.lines_of, child.channel, child.caller.number)
        return complaints(self._ask(lines_of))

    def _destroy(self) -> None:
        assert self._child is not None
        self._perform(self._child, self.prepare("rkllm_destroy", None), None)

    def abort(self) -> Mapping[str, Any]:
        """See :meth:`IRuntime.abort`. The status of C is not waited for."""
        return self._model().runtime.abort()

    def pause(self) -> Mapping[str, Any]:
        """See :meth:`IRuntime.pause`."""
        check_pausable(self.release)
        return self._model().runtime.pause()

    def is_running(self) -> bool:
        """See :meth:`IRuntime.is_running`: true until a run has returned from C."""
        return self.loaded and self._running

    def embedding_width(self) -> int:
        """See :meth:`IRuntime.embedding_width`."""
        try:
            return self._model().runtime.embedding_width()
        except RuntimeCrashed:
            self._child = None
            raise

    def close(self) -> None:
        """See :meth:`IRuntime.close`."""
        was_closed, self._closed = self._closed, True
        if self.loaded and not was_closed:
            with contextlib.suppress(RPCError):
                self._destroy()
        self._child = None

    def _model(self) -> _Child:
        child = self._child
        if child is None or not self.loaded:
            raise NoModel.after(self._supervisor.problem)
        return child


def _unnoted(_line: str) -> None:
    """Take no note."""
