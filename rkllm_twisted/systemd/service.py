"""Keeps systemd informed about a service: ready, in which state, alive, stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from rkllm_twisted.systemd.sd_daemon import NotifySocket, SystemdEnvironment

#: Between two checks of the state and the watchdog.
CHECK_INTERVAL_S = 1.0


def with_reports(reactor: Any, service: Any, inherited: SystemdEnvironment) -> IService:
    """Wrap a service that has ``summary`` and ``is_alive``, if systemd wants notifications.

    :param service: see :class:`ReportingService`, which calls its methods.
    """
    if inherited.notify is None:
        return IService(service)
    notify = NotifySocket(inherited.notify).notify
    return ReportingService(
        reactor, notify, inherited.watchdog, service, service.summary, service.is_alive
    )


class ReportingService(MultiService):
    """Runs a service and reports its state to systemd.

    :param notify: see :meth:`NotifySocket.notify <rkllm_twisted.systemd.sd_daemon.NotifySocket>`.
    :param watchdog: seconds without a notification after which systemd restarts the process; None:
        it never does.
    :param service: the service to run.
    :param summary: returns its state in a line for people.
    :param is_alive: true if no part of it hangs.
    """

    def __init__(
        self,
        reactor: Any,
        notify: Callable[[Mapping[str, str]], object],
        watchdog: float | None,
        service: Any,
        summary: Callable[[], str],
        is_alive: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._notify = notify
        self._summary = summary
        self._is_alive = is_alive
        self._last_summary = ""
        self._status = LoopingCall(self._send_status)
        self._heartbeat = LoopingCall(self._send_heartbeat)
        self._status.clock = self._heartbeat.clock = reactor
        self._watchdog = watchdog
        self._last_heartbeat = float("-inf")
        IService(service).setServiceParent(self)

    def startService(self) -> None:
        """Start the service. It is ready when the reactor runs, since only then it accepts."""
        super().startService()
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        if not self.running:
            return
        self._last_summary = self._summary()
        self._notify({"READY": "1", "STATUS": self._last_summary})
        self._status.start(CHECK_INTERVAL_S, now=False)
        if self._watchdog is not None:
            self._heartbeat.start(min(CHECK_INTERVAL_S, self._watchdog / 8))

    def stopService(self) -> Deferred[None]:
        """Stop the service; the watchdog is fed until it has stopped."""
        if self._status.running:
            self._status.stop()
        self._notify({"STOPPING": "1", "STATUS": "stopping: what is under way may end"})
        stopped: Deferred[None] = super().stopService()
        return stopped.addBoth(self._stopped)

    def _stopped(self, result: object) -> object:
        if self._heartbeat.running:
            self._heartbeat.stop()
        return result

    def _send_status(self) -> None:
        # Each notification wakes systemd, so only a change is sent.
        summary = self._summary()
        if summary != self._last_summary:
            self._last_summary = summary
            self._notify({"STATUS": summary})

    def _send_heartbeat(self) -> None:
        """Feed the watchdog twice in its time, and not while a part hangs.

        It is looked at more often than that, so that a late one is sent as soon as it may.
        """
        assert self._watchdog is not None
        now = self._reactor.seconds()
        is_due = now - self._last_heartbeat >= self._watchdog / 2 - 1e-3
        if is_due and self._is_alive():
            self._last_heartbeat = now
            self._notify({"WATCHDOG": "1"})
