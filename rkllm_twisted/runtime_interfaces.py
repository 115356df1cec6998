"""The interfaces of what makes the calls, in the NPU thread."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from zope.interface import Attribute, Interface

from rkllm_twisted.values import OnResult, OnResults, Params


class IRuntime(Interface):
    """One opened librkllmrt and its one handle. It blocks: call it in the NPU thread.

    Only :meth:`abort`, :meth:`pause`, :meth:`is_running` and the pure :meth:`prepare` may be called
    from any thread, at any time.
    """

    version = Attribute("The :class:`RuntimeVersion`.")
    release = Attribute("The :class:`rkllm_twisted.abi.release.Release` of its layout.")
    loaded = Attribute("bool: True if there is a handle.")
    model_path = Attribute("str or None: the model_path of the rkllm_init that made the handle.")

    def prepare(function: str, params: Params) -> Any:
        """Check the parameters and build the arguments of C. Pure: the library is not called.

        :param function: a function of rkllm.h, e.g. ``rkllm_init``.
        :param params: as the client sent them: positional in C's order or by C's names; the slots
            that the daemon owns (handle, callback, userdata) are null or left out.
        :returns: a prepared call for :meth:`perform`, good for one use; it owns every buffer. Its
            ``checked`` is the :class:`~rkllm_twisted.abi.prepare.PreparedCall`, and its
            ``model_path`` that of the model that it loads, or None.
        :raises InvalidParams: naming the parameter or field.
        :raises NotInRelease: this release of the runtime lacks the function.
        """

    def perform(prepared: Any, on_results: OnResults | None = None) -> Mapping[str, Any]:
        """Call C and wait for its return.

        :param on_results: for runs, called in this thread with the results that came together, in
            order. Each is an RKLLMResult as a mapping: the fields of the structure by name plus
            ``_callback_state`` (0 normal, 1 waiting, 2 finish, 3 error; 4 hidden layer on 1.1.x);
            float arrays are :class:`FloatArray`. With ``n_batch`` > 1 a result has the first row's
            fields and ``results`` with all rows. Callbacks that come after the call has ended are
            dropped.
        :returns: ``{"success": True, "status_code": 0}`` plus the function's outputs by name;
            ``rkllm_createDefaultParam``: the RKLLMParam itself.
        :raises NoModel: the function needs a handle and there is none.
        :raises RuntimeRefused: the status was not 0.
        """

    def abort() -> Mapping[str, object]:
        """``rkllm_abort`` on the handle.

        :raises NoModel: there is no handle.
        :raises RuntimeRefused: the status was not 0.
        """

    def pause() -> Mapping[str, Any]:
        """Make the next callback of the current run return 1: the run ends, and the next run
        continues it (rkllm.h 1.2.1). From any thread.

        :returns: ``{"success": True, "status_code": 0, "paused": bool}``; False: there is no run.
        :raises NoModel: there is no handle.
        :raises NotInRelease: in this release a callback returns nothing.
        """

    def embedding_width() -> int:
        """Return the width of the loaded model's embeddings, in numbers per token.

        The first question about a model runs one token; its history stays as it was.

        :returns: 0 if the runtime does not show it.
        :raises NoModel: there is no handle.
        :raises RuntimeCrashed: its process has ended.
        """

    def is_running() -> bool:
        """Return True if a run is under way, whatever number the release uses for it."""

    failed = Attribute("bool: True if it cannot be used until a model is loaded again.")
    problem = Attribute("str or None: how its process crashed; None once a model is loaded again.")
    crashes = Attribute("int: how often its process has crashed.")

    def kill() -> bool:
        """Kill the runtime; the current call fails with RuntimeCrashed. From any thread.

        :returns: False if that is not possible: a thread cannot be killed.
        """

    def close() -> None:
        """Destroy the model if one is loaded. Idempotent; every later call raises NoModel."""


class ICaller(Interface):
    """What calls C: this process, or another one. One for each opened library.

    ``abort`` and ``is_running`` are called from any thread, everything else in the NPU thread.
    """

    defaults = Attribute("bytes: the RKLLMParam of rkllm_createDefaultParam.")

    def listen(callback: Any) -> Any:
        """Deliver the library's callbacks to a :class:`~.runtime.callback.ResultCallback`.

        :returns: what rkllm_init takes for its callback.
        """

    def call(function: str, arguments: Any, prepared: Any = None) -> Any:
        """Call a function and wait for its return. For a run, the callbacks come before.

        :param arguments: as ctypes takes them, in C's order.
        :param prepared: the owner of every buffer that they point to; None: there is none.
        :returns: what C returned: a status, or a structure.
        """

    def pause() -> None:
        """Make the next callback of the current run pause it. From any thread."""


class ITurn(Interface):
    """The runtime during one turn, for the procedure in the NPU thread; no use after its return."""

    loaded = Attribute("bool: True if there is a model.")
    loads = Attribute("int: the models loaded since the start; each load changes it.")
    model_path = Attribute("str or None: see :class:`IRuntime`.")
    max_context_len = Attribute("int or None: the tokens that the model was loaded with room for.")
    limits = Attribute("The :class:`ModelLimits` that the model was loaded with, or None.")
    skip_special_token = Attribute("bool: True if texts lack the model's special tokens.")
    aborted = Attribute("bool: True if ``rkllm_abort`` was called in the last run or before it.")
    problem = Attribute("str or None: see :class:`IRuntime`.")

    def end_at(tokens: Iterable[int | str]) -> None:
        """End the runs of the loaded model at these tokens, until another model is loaded.

        The runtime of release 1.3.0 reads no end tokens from models of rkllm-toolkit 1.2.x. A run
        with one row ends as if the model had ended it, and the token is not delivered.

        :param tokens: the ids, or the texts as the runtime sends them.
        """

    def embedding_width() -> int:
        """See :meth:`IRuntime.embedding_width`.

        :raises CancelledError: Twisted's; see :meth:`perform`.
        """

    def prepare(function: str, params: Params) -> Any:
        """See :meth:`IRuntime.prepare`."""

    def perform(
        prepared: Any, on_result: OnResult | None = None, on_results: OnResults | None = None
    ) -> Mapping[str, Any]:
        """Make one call and wait for its end.

        :param on_result: for runs, and for them only: called in the NPU thread with each result of
            state 0 or 1, in order.
        :param on_results: in its place: called with those that came together.
        :returns: the outputs by name; of a run, as of :meth:`INPU.run`, the RKLLMResult that ends
            it.
        :raises CancelledError: Twisted's; the caller has its answer already, so the call was not
            made.
        :raises RPCError: as :meth:`IRuntime.perform`.
        """

    def deliver(function: Callable[..., object], *args: object) -> None:
        """Call a function in the reactor thread, soon and in order.

        It is not called once the Deferred of the turn has fired.
        """

    def stream(on_results: OnResults, *results: Mapping[str, Any]) -> None:
        """Deliver results to a function that takes a list of them: those that came together.

        For many results this costs less than :meth:`deliver`.
        """

    def abort() -> None:
        """End the current run, which then ends as if the model had ended it.

        For ``on_result`` only: it may come once or twice more.
        """

    def check() -> None:
        """Check that the caller still waits for the answer.

        :raises CancelledError: Twisted's; it does not. The last run may have been aborted.
        """


class IHistory(Interface):
    """A policy: what happens to the KV cache before a call; see :mod:`.npu.history`."""

    def before(runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> None:
        """Prepare the cache for a call. In the NPU thread.

        :raises RPCError: this failed; the call must not be made.
        """

    def after(function: str) -> None:
        """Record that a call has succeeded. In the NPU thread."""


class ICallObserver(Interface):
    """Notices all calls, in the NPU thread; see :meth:`INPU.observe`."""

    def before(runtime: IRuntime, function: str, client: Hashable, is_run: bool) -> Hashable:
        """Record a call that will be made.

        :returns: the client that the policy is called with.
        :raises RPCError: the call must not be made.
        """

    def after(function: str) -> None:
        """Record that a call has succeeded."""
