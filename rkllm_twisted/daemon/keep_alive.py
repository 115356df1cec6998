"""``--keep-alive``: unloads the model when no client has used the NPU for some time."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rkllm_twisted.errors import RPCError
from rkllm_twisted.interfaces import INPU

#: The seconds between two checks whether the NPU is in use.
CHECK_INTERVAL_S = 1.0

_log = Logger("rkllm.daemon")


class KeepAlive(Service):
    """Unloads an idle model, however it was loaded.

    :param seconds: how long the model must be idle.
    """

    def __init__(self, reactor: Any, npu: INPU, seconds: float) -> None:
        self._reactor = reactor
        self._npu = npu
        self._seconds = seconds
        self._used_at = 0.0
        self._seen: object = None
        self._unloading: Deferred[object] | None = None
        self._watch = LoopingCall(self._check)
        self._watch.clock = reactor

    def startService(self) -> None:
        """Begin to watch the NPU."""
        super().startService()
        self._watch.start(min(CHECK_INTERVAL_S, self._seconds))

    def stopService(self) -> None:
        """Watch it no longer."""
        super().stopService()
        if self._watch.running:
            self._watch.stop()

    def _check(self) -> None:
        status, now = self._npu.status(), self._reactor.seconds()
        seen = (status.loads, status.runs, status.tokens)
        is_idle = status.state == "loaded" and status.running is None and not status.queue_length
        if not is_idle or seen != self._seen:
            self._seen, self._used_at = seen, now
        elif now - self._used_at >= self._seconds and self._unloading is None:
            _log.info(
                "{model} was idle for {seconds:g} s and is unloaded",
                model=status.model_path,
                seconds=self._seconds,
            )
            self._unloading = self._npu.call("rkllm_destroy", None)
            self._unloading.addErrback(lambda failure: failure.trap(RPCError))
            self._unloading.addBoth(self._unloaded)

    def _unloaded(self, _: object) -> None:
        self._unloading = None
        self._used_at = self._reactor.seconds()
