"""The runtime in a child process, for the NPU thread: same interface, same errors, and one more.

Parameters are checked here, by the same table, so that what is wrong is known at once; then they
cross, arrays of floats as bytes. A child that ends in the middle of a call is a RuntimeCrashed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping
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
from rkllm_twisted.isolation.process import Channel
from rkllm_twisted.isolation.supervisor import Supervisor
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.probe import Findings
from rkllm_twisted.values import OnResult, Params

T = TypeVar("T")
#: Seconds to learn how a child ended whose connection has broken.
PATIENCE = 5.0
#: Beside ``rkllm_init``, what can be asked of a child that has no model.
WITHOUT_MODEL = {"rkllm_createDefaultParam"}


@attrs.frozen
class RemoteCall:
    """A call that is ready to cross.

    :param params: as they are sent.
    :param prepared: the same, as C would see it: proof that they are right. Its arrays of floats
        are what is sent, and nobody reads their text again.
    """

    function: str
    params: Params
    prepared: PreparedCall

    @property
    def model_path(self) -> str | None:
        """See :class:`PreparedCall`."""
        return self.prepared.model_path


@implementer(IRuntime)
class ProcessRuntime:
    """See :class:`IRuntime`.

    :param findings: what a probe of the library has shown.
    :param files: what files C may open; any where left out. The child holds to the same.
    :param in_reactor: calls a function in the reactor thread and waits for what it returns.
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
        self._layout = layout_of(releases()[findings.version.abi])
        self._defaults = findings.defaults
        self._supervisor = supervisor
        self._in_reactor = in_reactor
        self._files = files or Files()
        self._numbers = itertools.count(1)
        self._link: Channel | None = None
        self._running = False
        self._closed = False

    @property
    def loaded(self) -> bool:
        """Is there a handle, in a child that lives?"""
        return self._link is not None and self._link.ending is None

    @property
    def model_path(self) -> str | None:
        """Of the model that is loaded."""
        return self._model_path if self.loaded else None

    @property
    def failed(self) -> bool:
        """Can no child be had?"""
        return self._supervisor.failed

    @property
    def problem(self) -> str | None:
        """How the last child ended that was not meant to; None once a model is loaded again."""
        return None if self.loaded else self._supervisor.problem

    def kill(self) -> bool:
        """See :meth:`IRuntime.kill`. Called in the reactor thread."""
        self._supervisor.kill()
        return True

    def prepare(self, function: str, params: Params) -> RemoteCall:
        """See :meth:`IRuntime.prepare`."""
        return RemoteCall(function, params, prepare(self._layout, self._defaults, function, params))

    def perform(self, prepared: RemoteCall, on_result: OnResult | None = None) -> Mapping[str, Any]:
        """See :meth:`IRuntime.perform`."""
        if self._closed:
            raise NoModel("The runtime is closed.")
        self._files.check(prepared.prepared.files)  # before a model is given up for them
        link = self._link_for(prepared.function)
        self._running = on_result is not None
        try:
            outputs: Mapping[str, Any] = self._exchange(link, prepared, on_result)
            return outputs
        finally:
            self._running = False

    def _link_for(self, function: str) -> Channel:
        """A child: the one with the model, or, to load one, one that nobody has used."""
        if function == "rkllm_init":
            if self.loaded:
                self._destroy()
            if self._supervisor.failed:
                return self._ask(self._supervisor.fresh)
        elif function not in WITHOUT_MODEL and not self._supervisor.failed:
            return self._model()  # or at once an error: a child that starts need not be waited for
        return self._ask(self._supervisor.link)

    def _ask(self, question: Callable[[], T]) -> T:
        answer: T = self._in_reactor(question)
        return answer

    def _exchange(self, link: Channel, errand: RemoteCall, on_result: OnResult | None) -> Any:
        """Send a call and take what comes of it."""
        number = next(self._numbers)
        params = messages.with_arrays_packed(errand.params, errand.prepared.floats)
        link.send(messages.Perform(number, errand.function, params, on_result is not None))
        trouble: Exception | None = None
        while True:
            message = link.receive()
            if message is None:
                self._forget()
                raise link.wait(PATIENCE).error()
            if message.number != number:
                continue
            if isinstance(message, messages.Partial):
                assert on_result is not None
                try:
                    on_result(message.result)
                except Exception as failure:  # noqa: BLE001 - raised below, when C is back
                    trouble = trouble or failure
                    link.send(messages.Now("abort"))
                continue
            self._note(link, errand, message.loaded)
            if isinstance(message, messages.Failed):
                raise message.error()
            link.succeeded = True
            if trouble is not None:
                raise trouble
            if errand.function == "rkllm_destroy" and not self._closed:
                self._ask(self._supervisor.fresh)  # what the library did not free, the kernel does
            return message.result

    def _note(self, link: Channel, errand: RemoteCall, loaded: bool) -> None:
        """Remember whether there is a model, and in which child."""
        if not loaded:
            self._forget()
        elif errand.function == "rkllm_init":
            self._link = link
            self._model_path = errand.model_path

    def _forget(self) -> None:
        self._link = self._model_path = None

    def _destroy(self) -> None:
        assert self._link is not None
        self._exchange(self._link, self.prepare("rkllm_destroy", None), None)

    def abort(self) -> Mapping[str, Any]:
        """See :meth:`IRuntime.abort`; what C says of it is not waited for."""
        link = self._model()
        outputs = outputs_of("rkllm_abort", 0 if self._running else -1)
        link.send(messages.Now("abort"))
        return outputs

    def pause(self) -> Mapping[str, Any]:
        """See :meth:`IRuntime.pause`."""
        check_pausable(self._layout.release)
        link, paused = self._model(), self._running
        link.send(messages.Now("pause"))
        return {**outputs_of("LLMResultCallback", 0), "paused": paused}

    def is_running(self) -> bool:
        """See :meth:`IRuntime.is_running`: true while a run has not come back from C."""
        return self.loaded and self._running

    def close(self) -> None:
        """See :meth:`IRuntime.close`."""
        was_closed, self._closed = self._closed, True
        if self.loaded and not was_closed:
            with contextlib.suppress(RPCError):
                self._destroy()
        self._forget()

    def _model(self) -> Channel:
        if self._link is None or self._link.ending is not None:
            raise NoModel("No model is loaded; load one with rkllm.init.")
        return self._link
