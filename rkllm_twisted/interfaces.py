"""The seams of the daemon; the values that cross them are in :mod:`rkllm_twisted.values`.

Two of the interfaces are for everybody: :class:`IRPCMethod` is what a third party provides to add
a method, and :class:`ICall` is what that method is given. The others are inner seams, each with a
contract suite in ``tests/`` that every provider passes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from zope.interface import Attribute, Interface

from rkllm_twisted.values import (
    NPUStatus,
    OnResult,
    Params,
    Result,
    RuntimeVersion,
)


class INPU(Interface):
    """The one NPU: at most one model, one call at a time, in the order of fair turns.

    Called in the reactor thread; never blocks. Every Deferred that it returns may be cancelled:
    a call that waits is dropped and never reaches the NPU, a run under way is aborted. Either way
    the Deferred fails with :class:`~rkllm_twisted.errors.Cancelled` at once, and the next call
    begins only when the NPU is really free.
    """

    def call(function: str, params: Params, client: Hashable = None) -> Any:
        """Do one call that is not a run, when its turn comes.

        ``rkllm_init`` while a model is loaded destroys that model first.

        :param client: any hashable; turns go round the clients.
        :returns: a Deferred of the outputs by name, see :meth:`IRuntime.perform`.
        :raises: nothing; parameters are checked at once and the Deferred has then failed with
            InvalidParams or NotInRelease, or with Busy or ShuttingDown.
        """

    def run(
        function: str,
        params: Params,
        on_result: OnResult,
        client: Hashable = None,
        transform: Callable[[Result], Result] = ...,
    ) -> Any:
        """Do ``rkllm_run`` or ``rkllm_run_async`` when its turn comes.

        :param on_result: called in the reactor thread with each RKLLMResult of state 0 or 1, in
            order, never after the Deferred has fired.
        :param transform: called in the NPU thread with each result: long work there delays no other
            client, see :meth:`ICall.encode_floats`.
        :returns: a Deferred of the RKLLMResult that ends the run, with ``_callback_state`` 2 or 3.
            Where the runtime ended the run without one, it is made: text null, state 2.
        """

    def abort() -> Any:
        """``rkllm_abort``, around the queue. A Deferred of ``{"success": True, …}``."""

    def pause() -> Any:
        """Pause the run under way, around the queue. A Deferred of :meth:`IRuntime.pause`'s result.

        The run ends like one whose runtime sent no FINISH.
        """

    def is_running() -> Any:
        """``rkllm_is_running``, around the queue. A Deferred of ``{…, "is_running": bool}``."""

    def constants() -> Mapping[str, Mapping[str, int]]:
        """The enums of the release: ``{"LLMCallState": {"RKLLM_RUN_NORMAL": 0, …}, …}``."""

    def version() -> RuntimeVersion:
        """Which runtime is in use."""

    def status() -> NPUStatus:
        """What the NPU is doing now."""

    def drain() -> Any:
        """Refuse new calls and drop those that wait (ShuttingDown), but let the one under way end.

        :returns: a Deferred that fires when nothing is under way.
        """

    def close() -> Any:
        """Refuse new calls, drop those that wait (ShuttingDown), abort the run, destroy the model.

        :returns: a Deferred that fires when the NPU is free.
        """


class IDaemon(Interface):
    """What a method may know of the daemon that it runs in."""

    description = Attribute("The :class:`SelfDescription`: what the methods are.")

    def version() -> Mapping[str, object]:
        """The result of ``server.version``."""

    def status() -> Mapping[str, object]:
        """The result of ``server.status``."""


class IConversation(Interface):
    """One connection, as a method sees it."""

    peer = Attribute("The :class:`Peer`.")
    administers = Attribute(
        "bool: may it do what concerns everybody? See :class:`IAdministrative`."
    )

    def configure(settings: Mapping[str, str]) -> Mapping[str, str]:
        """Set this connection's ``stream`` and ``floats`` forms; returns all settings in force.

        :raises InvalidParams: naming the setting or the value that does not exist.
        """

    def cancel(request_id: object) -> bool:
        """Cancel one of this connection's own requests.

        :param request_id: as the client sent it (number, string or null).
        :returns: whether such a request was under way.
        """


class IListeningSocket(Interface):
    """The socket that clients connect to: whose it is, and what becomes of its file."""

    path = Attribute("pathlib.Path: where it is.")

    def open() -> Any:
        """Have it.

        :returns: a bound and listening ``socket.socket``.
        :raises SocketError: it cannot be had, and what to do.
        """

    def unlink() -> None:
        """Take its name away, if the name is the daemon's to take away. Idempotent."""

    def close() -> None:
        """Nothing listens any more: undo the rest. Idempotent."""


class ICall(Interface):
    """One request, as the method that answers it sees it."""

    params = Attribute("An instance of the method's ``params`` class, or, without one, Params.")
    npu = Attribute("The :class:`INPU`.")
    daemon = Attribute("The :class:`IDaemon`.")
    conversation = Attribute("The :class:`IConversation`: whose request this is.")

    def stream(result: object) -> None:
        """Send one partial result, in the form that the connection has chosen."""

    def encode_floats(result: Result) -> Result:
        """Write the float arrays of a result in the form that the connection has chosen.

        Millions of numbers take seconds. This may be called in any thread, and lets others work.
        """


class IRPCMethod(Interface):
    """One RPC method: provide this together with :class:`twisted.plugin.IPlugin`.

    A provider is a stateless object at the top of a module in ``twisted/plugins/``; importing it
    does no work. See ``docs/writing-methods.md``.
    """

    name = Attribute("str: the method as clients call it, ``group.verb``. ``rpc.`` is reserved.")
    summary = Attribute("str: one line, what it does.")
    params = Attribute(
        "An attrs class: its fields are the parameters, in positional order, with types and"
        " defaults; or None, for methods that check ``call.params`` themselves."
    )
    streams = Attribute("bool: may it call ``call.stream``? Such a method cannot be in a batch.")

    def call(call: ICall) -> Any:
        """Answer one request.

        :returns: a JSON value, or a Deferred or coroutine of one. Cancelling the Deferred must end
            the work.
        :raises RPCError: what the client is told. Any other exception is logged with its traceback
            and told as an internal error.
        """


class IDescribedMethod(IRPCMethod):
    """A method that also says what it answers; rpc.discover and system.* pass that on."""

    result = Attribute("A type: ``str``, ``list[int]``, an attrs class like those of params …")


class IAdministrative(Interface):
    """Marks an :class:`IRPCMethod` that concerns everybody: it changes or stops what is shared.

    Where the daemon's options name administrators, nobody else may call it. A method provides this
    beside IRPCMethod and has nothing more to do.
    """


class IWritesFile(Interface):
    """Marks an :class:`IRPCMethod` with a parameter that names a file to be written.

    The method itself checks that the client may do so, see :attr:`IConversation.administers`.
    """


class IImmediate(Interface):
    """Marks an :class:`IRPCMethod` that does not wait for its turn at the NPU."""


class INeedsModel(Interface):
    """Marks an :class:`IRPCMethod` that fails with NoModel if no model is loaded."""


class IReleaseMethod(IRPCMethod):
    """A method that some releases of the runtime make impossible."""

    def exists_in(release: Any) -> bool:
        """True if it is possible with a release (:class:`rkllm_twisted.abi.release.Release`)."""


class IRKLLMMethod(IRPCMethod):
    """A method that is a function of rkllm.h; its parameters come from the layout table."""

    function = Attribute("str: the C function, e.g. ``rkllm_run``.")


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
        :returns: a prepared call for :meth:`perform`, good for one use; it owns every buffer. Its
            ``model_path`` is that of the model that it loads, or None.
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

    failed = Attribute("bool: is it of no use any more, until somebody loads a model again?")
    problem = Attribute("str or None: how the process that held it ended last, if it was no good.")

    def kill() -> bool:
        """End the call under way by force; it then fails with RuntimeCrashed. From any thread.

        :returns: False where that cannot be done: a thread cannot be ended.
        """

    def close() -> None:
        """Destroy the model if one is loaded. Idempotent; every later call raises NoModel."""
