"""The innermost seam, of which :mod:`rkllm_twisted.interfaces` has the name, too: the C library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zope.interface import Attribute, Interface

from rkllm_twisted.values import OnResult, Params, Result


class IRuntime(Interface):
    """One opened librkllmrt and the one handle in it. It blocks: call it in the NPU thread.

    Only :meth:`abort`, :meth:`pause`, :meth:`is_running` and the pure :meth:`prepare` may be called
    from any thread, at any time.
    """

    version = Attribute("The :class:`RuntimeVersion`.")
    loaded = Attribute("bool: is there a handle?")
    model_path = Attribute("str or None: the model_path of the rkllm_init that made the handle.")

    def prepare(function: str, params: Params) -> Any:
        """Check the parameters and build what C will see. Pure: the library is not called.

        :param function: a function of rkllm.h, e.g. ``rkllm_init``.
        :param params: as the client sent them: positional in C's order or by C's names; the slots
            that the daemon owns (handle, callback, userdata) are null or left out.
        :returns: a prepared call for :meth:`perform`, good for one use; it owns every buffer.
        :raises InvalidParams: naming the parameter or field.
        :raises NotInRelease: this release of the runtime lacks the function.
        """

    def perform(prepared: Any, on_result: OnResult | None = None) -> Mapping[str, Any]:
        """Call C and wait for it.

        :param on_result: for runs, called in this thread with each RKLLMResult as a dict: the
            fields of the structure by name plus ``_callback_state`` (0 normal, 1 waiting, 2
            finish, 3 error; 4 hidden layer on 1.1.x); float arrays are :class:`FloatArray`. With
            ``n_batch`` > 1 a result has the first row's fields and ``results`` with all rows.
            Callbacks that arrive after the call has ended reach nobody.
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
        """Let the next callback of the run under way return 1: the run ends, and the next goes on
        from where it was (rkllm.h 1.2.1). From any thread.

        :returns: ``{"success": True, "status_code": 0, "paused": bool}``: was there a run?
        :raises NoModel: there is no handle.
        :raises NotInRelease: in this release a callback returns nothing.
        """

    def is_running() -> bool:
        """Is a run under way? By meaning, whatever number the release uses."""

    def empty_result() -> Result:
        """An RKLLMResult that says nothing but that the run is over: state 2, text null."""

    failed = Attribute("bool: is it of no use any more, until somebody loads a model again?")
    problem = Attribute("str or None: how the process that held it ended last, if it was no good.")

    def path_of(prepared: Any) -> str | None:
        """The model_path that a prepared call loads, if it loads one. Pure."""

    def kill() -> bool:
        """End the call under way by force; it then fails with RuntimeCrashed. From any thread.

        :returns: False where that cannot be done: a thread cannot be ended.
        """

    def constants() -> Mapping[str, Mapping[str, int]]:
        """The enums of the release: ``{"LLMCallState": {"RKLLM_RUN_NORMAL": 0, …}, …}``."""

    def close() -> None:
        """Destroy the model if one is loaded. Idempotent; every later call raises NoModel."""
