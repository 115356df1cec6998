"""Serves requests that name their model; loads it when its turn comes, one at a time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.daemon.memory_domain import AdaptParam, unadapted
from rkllm_twisted.daemon.named_loads import (
    LoadAttempt,
    ModelLoad,
    NamedLoads,
    again,
    load_of,
    not_allowed,
)
from rkllm_twisted.daemon.named_models import IModels
from rkllm_twisted.errors import (
    InvalidParams,
    NoModel,
    TimedOut,
)
from rkllm_twisted.interfaces import INPU, IConversation, ITurn
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.resident import (
    CurrentModel,
    IResidentModel,
    ModelProcedure,
    OnProgress,
)
from rkllm_twisted.models.swap_order import SwapOrder, WantedModel
from rkllm_twisted.npu.queue import QUEUE_LIMIT, queue_full
from rkllm_twisted.values import Waiting

_ANY = WantedModel()


@attrs.define(eq=False)
class _ModelRequest:
    """A request for a turn with a model.

    :param load: what loads the model; None: any model will do.
    :ivar attempt: to load it, once the request has begun.
    :ivar turn: the NPU's Deferred, once the request has begun.
    :ivar outcome: the caller's Deferred.
    """

    number: int
    load: ModelLoad | None
    procedure: ModelProcedure
    client: Hashable
    on_progress: OnProgress | None
    outcome: Deferred[Any]
    continues: Callable[[], bool] | None = None
    attempt: LoadAttempt = attrs.field(factory=lambda: LoadAttempt(None))
    turn: Deferred[Any] | None = None


@implementer(IResidentModel)
class ResidentModel:
    """See :class:`~rkllm_twisted.models.resident.IResidentModel`.

    What is loaded is checked in the NPU thread, within the turn: a raw ``rkllm.init`` of a client,
    a crash or ``rkllm.destroy`` may have come before.

    :param limit: how many requests may wait, here and in the NPU's queue.
    :param adapt: see :class:`NamedLoads`.
    :ivar models: as given.
    """

    def __init__(
        self,
        clock: IReactorTime,
        npu: INPU,
        models: IModels,
        limit: int = QUEUE_LIMIT,
        order: SwapOrder | None = None,
        adapt: AdaptParam = unadapted,
    ) -> None:
        self.models = models
        self._clock = clock
        self._npu = npu
        self._limit = limit
        self._release = npu.release
        self._loads = NamedLoads(clock.seconds, adapt)
        self._order = SwapOrder() if order is None else order
        self._numbers = itertools.count()
        self._requests: dict[int, _ModelRequest] = {}
        self._attempt = LoadAttempt(None)

    @property
    def loaded(self) -> CurrentModel | None:
        """See :class:`IResidentModel`."""
        status = self._npu.status()
        return self._loads.current(status.model_path, status.loads)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """See :class:`IResidentModel`."""
        clients = Counter(self._requests[number].client for number in self._order)
        return tuple(Waiting(client, calls) for client, calls in clients.items())

    def perform(
        self,
        name: str | None,
        procedure: ModelProcedure,
        client: Hashable = None,
        on_progress: OnProgress | None = None,
        continues: Callable[[], bool] | None = None,
    ) -> Deferred[Any]:
        """See :class:`IResidentModel`."""
        found = self._find(name)
        return found.addCallback(self._enter, procedure, client, on_progress, continues)

    def load(
        self,
        name: str,
        param: Mapping[str, object] | None = None,
        client: Hashable = None,
        on_progress: OnProgress | None = None,
    ) -> Deferred[CurrentModel]:
        """See :class:`IResidentModel`."""
        found: Deferred[Any] = self.models.find(name)
        return found.addCallback(self.load_found, param, client, on_progress)

    def load_found(
        self,
        named: NamedModel,
        param: Mapping[str, object] | None = None,
        client: Hashable = None,
        on_progress: OnProgress | None = None,
    ) -> Deferred[CurrentModel]:
        """Load a model that was found already; see :meth:`load`.

        :raises RPCError: the parameters are wrong, or the client may not load it.
        """
        load = load_of(named, self._release, param, is_exact=True)
        self._npu.prepare("rkllm_init", [load.param])  # its errors need not wait for a turn
        loaded = self.loaded
        if loaded is not None and load.wanted.is_met_by(self._loaded_as()):
            return succeed(loaded)
        return self._enter(load, lambda _, model: model, client, on_progress)

    def unload(self, name: str | None = None, client: Hashable = None) -> Deferred[CurrentModel]:
        """See :class:`IResidentModel`."""
        loaded = self.loaded
        if name is None or (loaded is not None and loaded.name == name):
            return self._unload(name, client)
        found: Deferred[Any] = self.models.find(name)
        return found.addCallback(lambda model: self._unload(model.name, client))

    def _unload(self, name: str | None, client: Hashable) -> Deferred[CurrentModel]:
        def procedure(turn: ITurn) -> CurrentModel:
            current = self._loads.current(turn.model_path if turn.loaded else None, turn.loads)
            if current is None:
                raise NoModel.after(turn.problem, "there is nothing to unload")
            if name not in (None, current.name):
                raise InvalidParams(
                    f"{name} is not loaded; {current.name or current.path} is.",
                    {"parameter": "model", "loaded": current.name},
                )
            turn.perform(turn.prepare("rkllm_destroy", None))
            return current

        unloaded: Deferred[CurrentModel] = self._npu.perform(procedure, client)
        return unloaded

    def _find(self, name: str | None) -> Deferred[ModelLoad | None]:
        if name is None:
            return succeed(None)
        status = self._npu.status()
        load = self._loads.current_load(status.model_path, status.loads)
        if load is not None and load.named.name == name:
            return succeed(load)  # without a look at the directories
        found: Deferred[Any] = self.models.find(name)
        return found.addCallback(load_of, self._release)

    def _enter(
        self,
        load: ModelLoad | None,
        procedure: ModelProcedure,
        client: Hashable,
        on_progress: OnProgress | None,
        continues: Callable[[], bool] | None = None,
    ) -> Deferred[Any]:
        wanted = _ANY if load is None else load.wanted
        self._check(wanted, client)
        number = next(self._numbers)
        outcome: Deferred[Any] = Deferred(lambda _: self._cancel(request))
        request = _ModelRequest(number, load, procedure, client, on_progress, outcome, continues)
        self._requests[number] = request
        self._order.add(number, wanted, self._clock.seconds())
        self._begin()
        if on_progress is not None and self._is_waiting(request):
            on_progress("waiting")
        return outcome

    def _is_waiting(self, request: _ModelRequest) -> bool:
        """True if a request that has just come must wait for its turn."""
        is_queued = request.turn is None or self._npu.status().queue_length > 0
        return is_queued and not request.outcome.called

    def _check(self, wanted: WantedModel, client: Hashable) -> None:
        """Check that a request may wait.

        :raises NotAllowed: the client would have a model loaded, and may not.
        :raises Busy: too many wait already.
        """
        self._follow()
        if not _may_load(client) and not wanted.is_met_by(self._order.target):
            raise not_allowed(str(wanted.name))
        length = len(self._order) + self._npu.status().queue_length
        if len(self._order) and length >= self._limit:
            raise queue_full(length)

    def _loaded_as(self) -> WantedModel | None:
        status = self._npu.status()
        load = self._loads.current_load(status.model_path, status.loads)
        return None if load is None else load.wanted

    def _follow(self) -> None:
        """Record which model others have loaded meanwhile."""
        if not self._order.is_running:
            self._order.target = self._loaded_as()

    def _begin(self) -> None:
        """Begin the requests whose time has come."""
        self._follow()
        for number in self._order.begin(self._clock.seconds()):
            request = self._requests.get(number)
            if request is not None:  # else an earlier one's failure had it cancelled
                self._start(request)

    def _start(self, request: _ModelRequest) -> None:
        if self._attempt.error is not None or self._attempt.wanted != self._order.target:
            self._attempt = LoadAttempt(self._order.target)
        request.attempt = self._attempt
        request.turn = self._npu.perform(
            lambda turn: self._in_npu(turn, request), request.client, request.continues
        )
        request.turn.addBoth(self._ended, request)

    def _in_npu(self, turn: ITurn, request: _ModelRequest) -> Any:
        """Load the model, and make the calls of the procedure. In the NPU thread."""

        def on_loading() -> None:
            if request.on_progress is not None:
                turn.deliver(request.on_progress, "loading")

        may_load = _may_load(request.client)
        model = self._loads.ensure(turn, request.load, request.attempt, may_load, on_loading)
        return request.procedure(turn, model)

    def _cancel(self, request: _ModelRequest) -> None:
        if request.turn is not None:
            request.turn.cancel()  # and so it ends
        else:
            self._ended(Failure(CancelledError()), request)

    def _ended(self, result: Any, request: _ModelRequest) -> None:
        """Answer the caller, and begin the next requests."""
        self._order.remove(request.number)
        self._requests.pop(request.number, None)
        if isinstance(result, Failure):
            self._fail_waiting(result, request.attempt)
        self._begin()
        if isinstance(result, Failure):
            request.outcome.errback(result)
        else:
            request.outcome.callback(result)

    def _fail_waiting(self, failure: Failure, attempt: LoadAttempt) -> None:
        """If a load has failed, fail the requests that wait for the same model."""
        if attempt.is_loading and isinstance(failure.value, TimedOut):
            attempt.error = failure.value  # the thread is in C still
        if attempt.error is None or attempt is not self._attempt:
            return
        self._attempt = LoadAttempt(None)
        for number in self._order.fail_target():
            self._requests.pop(number).outcome.errback(again(attempt.error))


def _may_load(client: Hashable) -> bool:
    return not IConversation.providedBy(client) or bool(client.administers)
