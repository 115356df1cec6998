"""One opened librkllmrt and the one handle in it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Mapping

import attrs
from zope.interface import implementer

from rkllm_twisted.abi.from_c import output_buffers, to_json, values_of
from rkllm_twisted.abi.layouts import CData, Layout, layout_of
from rkllm_twisted.abi.prepare import (
    PreparedCall,
    check_rows,
    find_function,
    inputs_for,
    prepare,
)
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.abi.return_codes import check_pausable, outputs_of
from rkllm_twisted.errors import NoModel, RuntimeRefused
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.runtime.callback import OnRKLLMResults, ResultCallback, RunCallbacks
from rkllm_twisted.runtime.detect import detect_release
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.library import open_file
from rkllm_twisted.runtime.local_caller import LocalCaller
from rkllm_twisted.runtime.model import LoadedModel, check_widths, width_of
from rkllm_twisted.runtime.model_file import check_model_file
from rkllm_twisted.runtime_interfaces import ICaller
from rkllm_twisted.values import SAVED, Params, RuntimeVersion

Outputs = dict[str, object]

#: Seconds between two looks at whether a native asynchronous run is still under way.
POLL_INTERVAL_S = 0.5


def open_runtime(
    library: str | None,
    abi: str | None,
    environ: Mapping[str, str] = os.environ,
    *,
    native_async: bool = False,
    files: Files | None = None,
    known: Mapping[str, Release] | None = None,
) -> Runtime:
    """Find librkllmrt, open it, and recognise its release.

    :param library: ``cpu`` or ``llama`` for an embedded runtime, or a path; else
        ``$RKLLM_LIBRARY``, else what the loader finds.
    :param abi: the release, if the library does not show it.
    :param native_async: see :class:`Runtime`; so is ``files``.
    :param known: the layouts to choose from; by default those of rkllm.h.
    :raises LibraryError: one sentence that says what to do.
    """
    known = releases() if known is None else known
    opened = open_file(library, abi, environ, known)
    detected = detect_release(opened, abi, known)
    path, release = str(opened.path), detected.release
    version = RuntimeVersion(
        path, detected.version, release.name, detected.reason, opened.backend, opened.limits
    )
    layout = layout_of(release)
    caller = LocalCaller(opened, layout)
    return Runtime(caller, layout, version, native_async=native_async, files=files)


@implementer(IRuntime)
class Runtime:
    """Provides :class:`~rkllm_twisted.interfaces.IRuntime`; see there for threads and errors.

    :param caller: calls C, in this process or in another.
    :param native_async: call C's rkllm_run_async, which hangs or crashes on many releases.
    :param files: the files that C may open; by default, any.
    """

    #: A crash in this process ends the daemon.
    failed, problem, crashes = False, None, 0

    def __init__(
        self,
        caller: ICaller,
        layout: Layout,
        version: RuntimeVersion,
        *,
        native_async: bool = False,
        files: Files | None = None,
    ) -> None:
        self.version, self.release = version, layout.release
        self._layout = layout
        self._caller = caller
        self._native_async = native_async
        self._files = files or Files()
        self._callback = ResultCallback(layout, self._stop)
        self._callback_argument = caller.listen(self._callback)
        #: Guards the handle against being destroyed while another thread uses it.
        self._lock = threading.Lock()
        self._loaded: LoadedModel | None = None
        self._last: PreparedCall | None = None
        self._closed, self._aborts = False, 0

    @property
    def loaded(self) -> bool:
        """True if there is a handle."""
        return self._loaded is not None

    @property
    def defaults(self) -> bytes:
        """The bytes of the RKLLMParam that ``rkllm_createDefaultParam`` returned."""
        defaults: bytes = self._caller.defaults
        return defaults

    @property
    def model_path(self) -> str | None:
        """The model_path of the rkllm_init that made the handle."""
        return None if self._loaded is None else self._loaded.made_by.model_path

    def kill(self) -> bool:
        """See :meth:`IRuntime.kill`: a thread in C cannot be ended."""
        return False

    def prepare(self, function: str, params: Params) -> PreparedCall:
        """See :meth:`IRuntime.prepare`."""
        return prepare(self._layout, self.defaults, function, params)

    def perform(self, prepared: object, on_results: object = None) -> Outputs:
        """See :meth:`IRuntime.perform`."""
        assert isinstance(prepared, PreparedCall)
        assert on_results is None or callable(on_results)
        if self._closed:
            raise NoModel("The runtime is closed.")
        saved: list[bool] = []
        with self._files.opened(prepared, saved.append) as call:
            if call.arguments:
                # Kept until the next such call: C may read the memory after it has returned.
                self._last = call
            check_model_file(call, self.version.backend)
            if call.function.name in _RUNS:
                outputs = self._run(call, on_results)
            else:
                outputs = _PERFORM.get(call.function.name, Runtime._plain)(self, call)
        return {**outputs, SAVED: all(saved)} if saved else outputs

    def abort(self) -> Outputs:
        """See :meth:`IRuntime.abort`."""
        with self._lock:
            self._aborts += 1  # before C: the run may have ended before this thread goes on
            status = self._caller.call("rkllm_abort", [self._model().handle])
        outputs = outputs_of("rkllm_abort", status)
        self._callback.aborted()
        return outputs

    def pause(self) -> Outputs:
        """See :meth:`IRuntime.pause`."""
        check_pausable(self.release)
        self._model()
        paused = self._callback.pause()
        if paused:
            self._caller.pause()
        return {**outputs_of("LLMResultCallback", 0), "paused": paused}

    def is_running(self) -> bool:
        """See :meth:`IRuntime.is_running`."""
        with self._lock:
            if self._loaded is None:
                return False
            # Headers up to 1.2.3 say the opposite; every library says 1 for running.
            return bool(self._caller.call("rkllm_is_running", [self._loaded.handle]) == 1)

    def embedding_width(self) -> int:
        """See :meth:`IRuntime.embedding_width`."""
        model, aborts = self._model(), self._aborts
        width = width_of(model, self._ask)
        if self._aborts != aborts:  # it may have ended before it had an answer
            model.width = width or None
        return width

    def close(self) -> None:
        """See :meth:`IRuntime.close`."""
        self._closed = True
        self._last = None
        if self.loaded:
            self._destroy()

    def _model(self) -> LoadedModel:
        if self._loaded is None:
            raise NoModel.after(None)
        return self._loaded

    def _call(self, prepared: PreparedCall, **slots: CData) -> CData:
        """Call C with the prepared arguments and what the daemon fills in."""
        arguments = {**prepared.arguments, **slots}
        ordered = [arguments[parameter.name] for parameter in prepared.function.parameters]
        return self._caller.call(prepared.function.name, ordered, prepared)

    def _plain(self, prepared: PreparedCall) -> Outputs:
        """Call C; return the structure that it returns, or its status and what it has written."""
        function = prepared.function
        model = self._model() if function.needs_model else None
        rows, handle = (model.rows, model.handle) if model else (1, None)
        check_rows(prepared, rows)
        buffers = output_buffers(self._layout, function, rows)
        returned = self._call(prepared, handle=handle, **buffers)
        if function.returns.base in self._layout.structs:
            return to_json(self._layout, returned)
        status = outputs_of(function.name, returned)
        return {**status, **values_of(self._layout, function, buffers)}

    def _init(self, prepared: PreparedCall) -> Outputs:
        if self.loaded:
            self._destroy()
        handle = ctypes.c_void_p()
        slots = {"handle": ctypes.byref(handle), "callback": self._callback_argument}
        status = self._call(prepared, **slots)
        outputs = outputs_of("rkllm_init", status)
        if not handle:
            raise RuntimeRefused(
                "rkllm_init returned 0 but no handle, which means that the NPU's memory is short;"
                " free some, or load a smaller model.",
                {"function": "rkllm_init", "status_code": 0},
            )
        with self._lock:
            self._loaded = LoadedModel(handle, prepared)
        return outputs

    def _destroy(self, _prepared: PreparedCall | None = None) -> Outputs:
        with self._lock:
            model = self._model()
            # Also if C fails: it is unknown what such a handle still points to.
            self._loaded = None
        return outputs_of("rkllm_destroy", self._caller.call("rkllm_destroy", [model.handle]))

    def _abort(self, _prepared: PreparedCall) -> Outputs:
        return self.abort()

    def _is_running(self, _prepared: PreparedCall) -> Outputs:
        self._model()
        return {**outputs_of("rkllm_is_running", 0), "is_running": self.is_running()}

    def _ask(self, function: str, params: Params, on_results: OnRKLLMResults | None) -> Outputs:
        """Make a call of the daemon's own, in the middle of another."""
        last, answer = self._last, self.perform(self.prepare(function, params), on_results)
        self._last = last
        return answer

    def _run(self, prepared: PreparedCall, on_results: OnRKLLMResults | None) -> Outputs:
        model = self._model()
        inputs = inputs_for(prepared, model.rows)
        aborts = self._aborts
        check_widths(prepared.embeddings, model, self._ask)
        if self._aborts != aborts:  # what was aborted is this run, not the look before it
            model.width = model.width or None  # which may have ended before it had an answer
            return outputs_of(prepared.function.name, 0)
        for partial in prepared.partials:
            for name in partial.left_out:
                setattr(partial.structure, name, getattr(model.param, name))
        run = self._callback.begin(model.rows, on_results)
        try:
            slots = {"handle": model.handle, "rkllm_input": inputs, "userdata": run.number}
            status = self._start(prepared, slots, run)
        finally:
            self._callback.end()
            run.close()
        return outputs_of(prepared.function.name, status)

    def _start(
        self, prepared: PreparedCall, slots: Mapping[str, CData], run: RunCallbacks
    ) -> CData:
        if prepared.function.name == "rkllm_run_async" and self._native_async:
            status = self._call(prepared, **slots)
            while status == 0 and not run.ended.wait(POLL_INTERVAL_S):
                # Some modes end without a last result, and an abort may. Before that the run may
                # not have begun, and nothing tells that from having ended.
                if run.begun and not self.is_running():
                    break
            return status
        rkllm_run = find_function(self._layout, "rkllm_run")
        return self._call(attrs.evolve(prepared, function=rkllm_run), **slots)

    def _stop(self) -> None:
        """Stop the run under way, if it has not ended by itself."""
        with contextlib.suppress(NoModel, RuntimeRefused):
            self.abort()


_RUNS = frozenset({"rkllm_run", "rkllm_run_async"})
#: Function -> the method that performs it, where more is needed than its row in the table says.
_PERFORM: Mapping[str, Callable[[Runtime, PreparedCall], Outputs]] = {
    "rkllm_init": Runtime._init,
    "rkllm_destroy": Runtime._destroy,
    "rkllm_abort": Runtime._abort,
    "rkllm_is_running": Runtime._is_running,
}
