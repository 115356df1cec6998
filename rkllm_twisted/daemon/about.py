"""Describes the daemon to clients: its version, its state, its methods."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

import rkllm_twisted
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.interfaces import INPU, IConversation, IDaemon
from rkllm_twisted.values import MAX_WAITING, NPUStatus, SelfDescription
from rkllm_twisted.vision_interfaces import IVision

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
    :param describe: makes :attr:`IDaemon.description`; called when a client first asks for it.
    :param resident: see :attr:`IDaemon.resident`.
    :param history: the value of ``--history``.
    :param inference: makes what serves chat; called when a client first calls such a method.
    :param vision: the encoder of pictures; None if the daemon has none.
    :param vision_requests: makes what answers ``vision.*``; called when a client first asks.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        npu: INPU,
        clients: Callable[[], int],
        describe: Callable[[], SelfDescription],
        resident: ResidentModel,
        history: str = "shared",
        inference: Callable[[], Any] | None = None,
        vision: IVision | None = None,
        vision_requests: Callable[[], Any] | None = None,
    ) -> None:
        self._describe = describe
        self._description: SelfDescription | None = None
        self.models = resident.models
        self.resident = resident
        self._encoder = vision
        self._make_requests = vision_requests
        self._requests: Any = None
        self._make_inference = inference
        self._inference: Any = None
        self._history = history
        self._reactor = reactor
        self._npu = npu
        self._clients = clients
        self._started = reactor.seconds()

    @property
    def description(self) -> SelfDescription:
        """See :attr:`IDaemon.description`."""
        if self._description is None:
            self._description = self._describe()
        return self._description

    @property
    def inference(self) -> Any:
        """See :attr:`IDaemon.inference`."""
        if self._inference is None and self._make_inference is not None:
            self._inference = self._make_inference()
        return self._inference

    @property
    def vision(self) -> Any:
        """See :attr:`IDaemon.vision`."""
        if self._requests is None and self._make_requests is not None:
            self._requests = self._make_requests()
        return self._requests

    def version(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.version`."""
        return {"version": rkllm_twisted.__version__, "runtime": attrs.asdict(self._npu.version())}

    def status(self) -> Mapping[str, object]:
        """See :meth:`IDaemon.status`."""
        status, waiting = self._npu.status(MAX_WAITING), self.resident.waiting
        whole = attrs.evolve(
            status,
            queue_length=status.queue_length + sum(one.calls for one in waiting),
            waiting=(*status.waiting, *waiting)[:MAX_WAITING],
            waiting_clients=status.waiting_clients + len(waiting),
        )
        loaded, running = self.resident.loaded, whole.running
        return {
            **attrs.asdict(whole, recurse=False),
            # A list, as all else here: then the answer is encoded as it is.
            "lora_adapters": [*whole.lora_adapters],
            "running": None
            if running is None
            else {"client": _number(running.client), "function": running.function},
            "waiting": [
                {"client": _number(each.client), "calls": each.calls} for each in whole.waiting
            ],
            "model": None if loaded is None else loaded.name,
            "history": self._history,
            "backend": self._npu.version().backend,
            "vision": None if self._encoder is None else self._encoder.status(),
            "clients": self._clients(),
            "uptime_s": round(self._reactor.seconds() - self._started, 3),
            "pid": os.getpid(),
        }


def _number(client: Any) -> int | None:
    """Return the number of an NPU client's connection; None if it is not a connection."""
    return int(client.peer.number) if IConversation.providedBy(client) else None


def summary_of(status: NPUStatus, clients: int) -> str:
    """Return the model and the queue in one line, which ``systemctl status`` shows."""
    model = (status.model_path or "a model").rpartition("/")[2]
    state = STATE_TEXTS[status.state].format(model=model, problem=status.problem)
    return f"{state}; waiting calls: {status.queue_length}; clients: {clients}"
