"""Describes the daemon to clients: its version, its state, its methods."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rkllm_twisted import __version__
from rkllm_twisted.abi.release import Release
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.description.describe import describe
from rkllm_twisted.description.introspection import help_of, signatures_of
from rkllm_twisted.description.openrpc import document
from rkllm_twisted.interfaces import INPU, IConversation, IDaemon, IRPCMethod
from rkllm_twisted.values import NPUStatus, SelfDescription
from rkllm_twisted.wire.encoding import encode_floats

#: NPUStatus.state -> the words for it, around the model's name.
STATE_TEXTS: Mapping[str, str] = {
    "empty": "no model is loaded",
    "loading": "loading a model",
    "loaded": "{model} is loaded",
    "running": "{model} is running",
    "stuck": "the NPU is stuck in a call that cannot be ended",
    "failed": "the runtime's process {problem}; rkllm.init tries again",
    "closed": "stopping",
}


@implementer(IDaemon)
class About:
    """The results of ``server.version`` and ``server.status``.

    :param clients: returns the number of open connections.
    :param description: see :attr:`IDaemon.description`.
    :param resident: see :attr:`IDaemon.resident`.
    :param history: the value of ``--history``.
    :param inference: makes what serves chat; called when a client first calls such a method.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        npu: INPU,
        clients: Callable[[], int],
        description: SelfDescription,
        resident: ResidentModel,
        history: str = "shared",
        inference: Callable[[], Any] | None = None,
    ) -> None:
        self.description = description
        self.models = resident.models
        self.resident = resident
        self._make_inference = inference
        self._inference: Any = None
        self._history = history
        self._reactor = reactor
        self._npu = npu
        self._clients = clients
        self._started = reactor.seconds()

    @property
    def inference(self) -> Any:
        """See :attr:`IDaemon.inference`."""
        if self._inference is None and self._make_inference is not None:
            self._inference = self._make_inference()
        return self._inference

    def version(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.version`."""
        return {"version": __version__, "runtime": attrs.asdict(self._npu.version())}

    def status(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.status`."""
        status, waiting = self._npu.status(), self.resident.waiting
        whole = attrs.evolve(
            status,
            queue_length=status.queue_length + sum(one.calls for one in waiting),
            waiting=(*status.waiting, *waiting),
        )
        loaded = self.resident.loaded
        return {
            **attrs.asdict(whole, value_serializer=_connection_number),
            "model": None if loaded is None else loaded.name,
            "history": self._history,
            "backend": self._npu.version().backend,
            "clients": self._clients(),
            "uptime_s": round(self._reactor.seconds() - self._started, 3),
            "pid": os.getpid(),
        }


def _connection_number(_: object, field: Any, value: Any) -> Any:
    """Return the number of an NPU client's connection; None if it is not a connection."""
    if field is not None and field.name == "client":
        return value.peer.number if IConversation.providedBy(value) else None
    return value


def summary_of(status: NPUStatus, clients: int) -> str:
    """Return the model and the queue in one line, which ``systemctl status`` shows."""
    model = (status.model_path or "a model").rpartition("/")[2]
    state = STATE_TEXTS[status.state].format(model=model, problem=status.problem)
    return f"{state}; waiting calls: {status.queue_length}; clients: {clients}"


def describe_for(methods: Mapping[str, IRPCMethod], release: Release) -> SelfDescription:
    """Describe the methods that the loaded release has.

    The daemon makes and encodes it at the start, so that an answer takes no time.

    :param methods: the methods by name.
    """
    every = describe(methods, [release])
    description = attrs.evolve(every, methods=tuple(m for m in every.methods if m.releases))
    return SelfDescription(
        document=encode_floats(document(description, release, __version__)),
        help={method.name: help_of(method, description) for method in description.methods},
        signatures={method.name: signatures_of(method) for method in description.methods},
    )
