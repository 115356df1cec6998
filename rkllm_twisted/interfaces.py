"""The interfaces between the parts of the daemon; :mod:`rkllm_twisted.values` has their values.

Two of them are for third parties: a plugin provides :class:`IRPCMethod` to add a method, and the
method gets an :class:`ICall`. The others are internal; each has a contract suite in ``tests/`` that
every provider passes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface

from rkllm_twisted.runtime_interfaces import IRuntime as IRuntime  # noqa: PLC0414 - mypy's re-export
from rkllm_twisted.runtime_interfaces import ITurn as ITurn  # noqa: PLC0414
from rkllm_twisted.values import (
    NPUStatus,
    OnResult,
    OnResults,
    Params,
    Procedure,
    Result,
    RuntimeVersion,
)


class INPU(Interface):
    """The one NPU: at most one model, one call at a time, in fair turns.

    Used in the reactor thread; it never blocks. Every Deferred that it returns may be cancelled:
    a call that waits is dropped and never reaches the NPU, the current run is aborted. Either way
    the Deferred fails with Twisted's ``CancelledError`` at once; the next call begins when the NPU
    is really free. (A client of the socket gets :class:`~rkllm_twisted.errors.Cancelled`: that is
    made once, where its request is answered.)
    """

    def call(function: str, params: Params, client: Hashable = None) -> Any:
        """Make one call that is not a run, when its turn comes.

        ``rkllm_init`` while a model is loaded destroys that model first. A cancelled init that C is
        working on is not undone: the model is there for the next call.

        :param client: any hashable; the turns go round the clients.
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
        """Make a run, ``rkllm_run`` or ``rkllm_run_async``, when its turn comes.

        :param on_result: called in the reactor thread with each RKLLMResult of state 0 or 1, in
            order, never after the Deferred has fired.
        :param transform: called in the NPU thread with each result: long work there delays no other
            client, see :meth:`ICall.encode_floats`.
        :returns: a Deferred of the RKLLMResult that ends the run, with ``_callback_state`` 2 or 3.
            If the runtime ends the run without one, it is made here: text null, state 2.
        """

    def stream(
        function: str,
        params: Params,
        on_results: OnResults,
        client: Hashable = None,
        transform: Callable[[Result], Result] = ...,
    ) -> Any:
        """Like :meth:`run`, for many tokens: results that came together come in one list."""

    def perform(
        procedure: Procedure,
        client: Hashable = None,
        continues: Callable[[], bool] | None = None,
    ) -> Any:
        """Make several calls in one turn: no call of another client comes in between.

        :param procedure: called in the NPU thread with an :class:`ITurn`. It must not touch what
            belongs to the reactor thread, and wait for nothing but its calls. Each call has the
            time-outs of its own; what the procedure does after a call counts to that call.
        :param continues: called in the reactor thread between two turns. If it returns True, the
            procedure continues what the cache holds, and may pass others, within the limits of
            :mod:`~rkllm_twisted.npu.turn_order`. With None it never passes, and is never passed.
        :returns: a Deferred of what the procedure returns or raises. If it is cancelled, the run
            under way is aborted, and the procedure cannot begin another call.
        """

    def prepare(function: str, params: Params) -> Any:
        """Check parameters before the turn, see :meth:`IRuntime.prepare`. Pure.

        :returns: a prepared call for :meth:`ITurn.perform`.
        :raises InvalidParams: naming the parameter or field.
        :raises NotInRelease: this release of the runtime lacks the function.
        """

    def observe(observer: Any) -> None:
        """Tell an observer of each call, in the NPU thread: :class:`.ICallObserver`."""

    def abort() -> Any:
        """``rkllm_abort``, without a turn: a Deferred of ``{"success": True, …}``."""

    def pause() -> Any:
        """Pause the current run, without a turn: a Deferred, see :meth:`IRuntime.pause`."""

    def is_running() -> Any:
        """``rkllm_is_running``, without a turn: a Deferred of ``{…, "is_running": bool}``."""

    def constants() -> Mapping[str, Mapping[str, int]]:
        """The enums of the release: ``{"LLMCallState": {"RKLLM_RUN_NORMAL": 0, …}, …}``."""

    release = Attribute("The :class:`rkllm_twisted.abi.release.Release` of the runtime's layout.")

    def version() -> RuntimeVersion:
        """Return the runtime in use."""

    def status(most_waiting: int = 0) -> NPUStatus:
        """Return the state of the NPU now.

        :param most_waiting: how many of the clients that wait are named.
        """

    def drain() -> Any:
        """Refuse new calls and drop those that wait (ShuttingDown). The current call may end.

        :returns: a Deferred that fires when no call is under way.
        """

    def close() -> Any:
        """Refuse new calls, drop those that wait (ShuttingDown), abort the run, destroy the model.

        :returns: a Deferred that fires when the NPU is free.
        """


class IDaemon(Interface):
    """The daemon, for the methods that it runs."""

    description = Attribute("The :class:`SelfDescription` of the methods.")
    models = Attribute("Models by name: :class:`rkllm_twisted.daemon.named_models.IModels`.")
    resident = Attribute("The :class:`rkllm_twisted.models.resident.IResidentModel`.")
    inference = Attribute("Answers: :class:`rkllm_twisted.inference.service.Inference`.")
    vision = Attribute("Answers: :class:`rkllm_twisted.encoders.requests.VisionRequests`.")

    def version() -> Mapping[str, object]:
        """The result of ``server.version``."""

    def status() -> Mapping[str, object]:
        """The result of ``server.status``."""


class IConversation(Interface):
    """One client's connection, for the methods that answer its requests."""

    peer = Attribute("The :class:`Peer`.")
    administers = Attribute("bool: may this client call what :class:`IAdministrative` marks?")

    def configure(settings: Mapping[str, str]) -> Mapping[str, str]:
        """Set this connection's ``stream`` and ``floats`` forms.

        :returns: all settings in force.
        :raises InvalidParams: naming the setting or the value that does not exist.
        """

    def cancel(request_id: object) -> bool:
        """Cancel one of this connection's own requests.

        :param request_id: as the client sent it (number, string or null).
        :returns: True if such a request was under way.
        """


class IListeningSocket(Interface):
    """The socket that clients connect to, and its file."""

    path = Attribute("pathlib.Path: of the file.")

    def open() -> Any:
        """Open it.

        :returns: a bound and listening ``socket.socket``.
        :raises SocketError: it cannot be opened; the text says what to do.
        """

    def unlink() -> None:
        """Remove its file, if the file belongs to the daemon. Idempotent."""

    def close() -> None:
        """Release what :meth:`open` took, once the daemon listens no more. Idempotent."""


class ICall(Interface):
    """One request, for the method that answers it."""

    params = Attribute("An instance of the method's ``params`` class, or, without one, Params.")
    npu = Attribute("The :class:`INPU`.")
    daemon = Attribute("The :class:`IDaemon`.")
    conversation = Attribute("The :class:`IConversation` of the client that sent the request.")
    methods = Attribute("A mapping of names to each :class:`IRPCMethod` of the daemon.")

    def stream(result: object) -> None:
        """Send one partial result, in the form that the connection has chosen."""

    def stream_all(results: Sequence[object]) -> None:
        """Send partial results, each as :meth:`stream` does, with as few writes as possible."""

    def encode_floats(result: Result) -> Result:
        """Encode the float arrays of a result in the form that the connection has chosen.

        Millions of numbers take seconds. This may be called in any thread, and gives Python's lock
        away in between.
        """


class IRPCMethod(Interface):
    """One RPC method: provide this together with :class:`twisted.plugin.IPlugin`.

    A provider is a stateless object at the top of a module in ``twisted/plugins/``, whose import
    does no work. See ``docs/writing-methods.md``.
    """

    name = Attribute("str: the method as clients call it, ``group.verb``. ``rpc.`` is reserved.")
    summary = Attribute("str: one line that says what it does.")
    params = Attribute(
        "An attrs class: its fields are the parameters, in positional order, with types and"
        " defaults; or None, for methods that check ``call.params`` themselves."
    )
    streams = Attribute("bool: may it call ``call.stream``? Such a method cannot be in a batch.")

    def call(call: ICall) -> Any:
        """Answer one request.

        :returns: a JSON value, or a Deferred or coroutine of one. Cancelling the Deferred must end
            the work.
        :raises RPCError: the error that the client gets. Any other exception is logged with its
            traceback, and the client gets an InternalError.
        """


class IDescribedMethod(IRPCMethod):
    """A method that declares the type of its result, for rpc.discover and system.*."""

    result = Attribute("A type: ``str``, ``list[int]``, an attrs class like those of params …")


class IAdministrative(Interface):
    """Marks an :class:`IRPCMethod` that changes or stops what all clients share.

    If the daemon's options name administrators, only they may call it.
    """


class IWritesFile(Interface):
    """Marks an :class:`IRPCMethod` with a parameter that names a file to be written.

    The method itself checks that the client may do so, see :attr:`IConversation.administers`.
    """


class IImmediate(Interface):
    """Marks an :class:`IRPCMethod` that does not wait for its turn at the NPU."""


class INeedsModel(Interface):
    """Marks an :class:`IRPCMethod` that fails with NoModel if no model is loaded, or no encoder."""


class IUsesNPU(Interface):
    """Marks an :class:`IRPCMethod` without a C function that waits for its turn at the NPU."""


class IReleaseMethod(IRPCMethod):
    """A method that some releases of the runtime make impossible."""

    def exists_in(release: Any) -> bool:
        """True if it is possible with a release (:class:`rkllm_twisted.abi.release.Release`)."""


class IUncounted(Interface):
    """Marks a method that ends or shows the work under way: ``max_requests`` does not stop it."""


class IQuiet(Interface):
    """Marks a method that only looks: its success is logged at the level debug."""


class IRKLLMMethod(IRPCMethod):
    """A method that is a function of rkllm.h; its parameters come from the layout table."""

    function = Attribute("str: the C function, e.g. ``rkllm_run``.")
