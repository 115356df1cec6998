"""Keeps systemd informed of a service: ready, in which state, alive, stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from rkllm_twisted.values import NPUStatus

#: Seconds between two looks at what there is to tell.
LOOK = 1.0
#: NPUStatus.state -> what it is called, around the model's name.
WORDS = {
    "empty": "no model is loaded",
    "loading": "loading a model",
    "loaded": "{model} is loaded",
    "running": "{model} is running",
    "stuck": "the NPU is stuck in a call that cannot be ended",
    "failed": "the runtime's process {problem}; rkllm.init tries again",
    "closed": "stopping",
}


class Reported(Protocol):
    """What a service tells of itself."""

    def summary(self) -> str:
        """Its state, in a line for people."""

    def is_fresh(self) -> bool:
        """Does all of it still move?"""


def summary_of(status: NPUStatus, clients: int) -> str:
    """What ``systemctl status`` shows: the model and the queue."""
    model = (status.model_path or "a model").rpartition("/")[2]
    state = WORDS[status.state].format(model=model, problem=status.problem)
    return f"{state}; waiting calls: {status.queue_length}; clients: {clients}"


class ReportingService(MultiService):
    """Runs a service and tells systemd how it is.

    :param tell: see :meth:`NotifySocket.tell <rkllm_twisted.systemd.notify.NotifySocket.tell>`.
    :param watchdog: seconds without a sign of life after which systemd ends the process; None: it
        does not look.
    :param service: an IService that is :class:`Reported`.
    """

    def __init__(
        self,
        reactor: Any,
        tell: Callable[[Mapping[str, str]], object],
        watchdog: float | None,
        service: Any,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._tell = tell
        self._reported: Reported = service
        self._told = ""
        self._status = LoopingCall(self._tell_status)
        self._life = LoopingCall(self._tell_life)
        self._status.clock = self._life.clock = reactor
        self._watchdog = watchdog
        self._last_sign = float("-inf")
        IService(service).setServiceParent(self)

    def startService(self) -> None:
        """Start it; it is ready once the reactor accepts."""
        super().startService()
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        if not self.running:
            return
        self._told = self._reported.summary()
        self._tell({"READY": "1", "STATUS": self._told})
        self._status.start(LOOK, now=False)
        if self._watchdog is not None:
            self._life.start(min(LOOK, self._watchdog / 8))

    def stopService(self) -> Deferred[None]:
        """Stop it, and go on with the signs of life until it has stopped."""
        if self._status.running:
            self._status.stop()
        self._tell({"STOPPING": "1", "STATUS": "stopping: the run under way may end"})
        stopped: Deferred[None] = super().stopService()
        return stopped.addBoth(self._over)

    def _over(self, result: object) -> object:
        if self._life.running:
            self._life.stop()
        return result

    def _tell_status(self) -> None:
        summary = self._reported.summary()
        if summary != self._told:
            self._told = summary
            self._tell({"STATUS": summary})

    def _tell_life(self) -> None:
        """Give the sign twice per watchdog's time, and none while something stands still.

        Looked at more often than that, so that a sign that was held back comes as soon as it may.
        """
        assert self._watchdog is not None
        now = self._reactor.seconds()
        due = now - self._last_sign >= self._watchdog / 2 - 1e-3
        if due and self._reported.is_fresh():
            self._last_sign = now
            self._tell({"WATCHDOG": "1"})
